# make         server and client
# make demo    a server and three clients talk for a moment, and what each of them saw is printed
# make test    every test; ./test NAME runs those whose name contains NAME
# make bench   the figures of README.md, "Size, speed, scale" (Linux)
# make install PREFIX=/usr/local DESTDIR=

CC ?= cc
PREFIX ?= /usr/local

# Some makes have CFLAGS of their own, without -O2. What CFLAGS says comes later, and wins.
COMPILE = $(CC) -O2 $(CFLAGS) $(LDFLAGS) -o

all: server client

server: server.c ocm.h
	$(COMPILE) $@ server.c $(LDLIBS)

client: client.c ocm.h
	$(COMPILE) $@ client.c $(LDLIBS)

# "test" is what to do as well as a file, so make cannot tell how old the file is; find can.
test-program:
	[ -z "$$(find test.c ocm.h -newer test 2>&1)" ] || $(COMPILE) test test.c $(LDLIBS)

demo: all test-program
	./test demo

test: all test-program
	./test

bench: all test-program
	./test bench

install: all
	mkdir -p "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(PREFIX)/include"
	cp server "$(DESTDIR)$(PREFIX)/bin/ocm-server"
	cp client "$(DESTDIR)$(PREFIX)/bin/ocm-client"
	cp ocm.h "$(DESTDIR)$(PREFIX)/include/ocm.h"

clean:
	rm -f server client test *.o *.exe

.PHONY: all demo test test-program bench install clean
