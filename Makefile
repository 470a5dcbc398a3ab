# make         server and client
# make demo    a short conversation of three clients, printed
# make test    every test; bench: the measured table of README.md
# make install PREFIX=/usr/local DESTDIR=

CC ?= cc
CFLAGS ?= -O2
PREFIX ?= /usr/local

all: server client

server: server.c ocm.h
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ server.c $(LDLIBS)

client: client.c ocm.h
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ client.c $(LDLIBS)

test-program: test.c ocm.h
	$(CC) $(CFLAGS) $(LDFLAGS) -o test test.c $(LDLIBS)

demo: all test-program
	./test demo

test: all test-program
	./test

bench: all test-program
	./test bench

install: all
	mkdir -p $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include
	cp server $(DESTDIR)$(PREFIX)/bin/ocm-server
	cp client $(DESTDIR)$(PREFIX)/bin/ocm-client
	cp ocm.h $(DESTDIR)$(PREFIX)/include/ocm.h

clean:
	rm -f server client test *.o *.exe

.PHONY: all demo test test-program bench install clean
