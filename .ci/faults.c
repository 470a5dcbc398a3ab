/* faults.c - makes chosen system calls of a program fail, on request.

   Linked into a program with ld's --wrap, so that only the program's own calls come here:
   cc server.c faults.c -Wl,--wrap=recv ... (check-faults has the list).

   The file named by OCM_FAULTS is mapped by the program and by whoever tests it. It says which call
   is to fail, and how; and it counts, so that a fault that nobody met is not taken for a survived
   one. Without that variable, nothing fails. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <termios.h>
#include <unistd.h>

enum { ACCEPT, BIND, CONNECT, DUP2, FCNTL, GETADDRINFO, GETPEERNAME, GETSOCKNAME, GETSOCKOPT,
       LISTEN, MALLOC, OPEN, POLL, READ, REALLOC, RECV, RECVFROM, RECVMSG, SELECT, SEND,
       SENDMSG, SENDTO, SETSOCKOPT, SOCKET, TCGETATTR, TCSETATTR, WRITE, CALLS };

#define SHORT (-1) /* no error: half of what was asked for */
#define EMPTY (-2) /* no error: nothing at all */

static struct plan {
    int32_t call;  /* -1: none */
    int32_t error; /* errno, or SHORT, EMPTY */
    int32_t skip;  /* so many of these calls succeed first */
    int32_t count; /* then so many fail */
    int32_t hits;  /* so many have failed */
    int32_t seen[CALLS];
} *plan;

int __real_open(const char *name, int flags, ...);

static void plan_open(void)
{
    static int tried;
    const char *name = getenv("OCM_FAULTS");
    void *at = MAP_FAILED;
    int fd;
    if (tried) return;
    tried = 1;
    fd = name ? __real_open(name, O_RDWR) : -1;
    if (fd >= 0) at = mmap(NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0) close(fd);
    if (at != MAP_FAILED) plan = (struct plan *)at;
}

/* 1 if this call is to fail; errno is then set. */
static int fails(int call)
{
    plan_open();
    if (!plan) return 0;
    plan->seen[call]++;
    if (plan->call != call || plan->count <= 0) return 0;
    if (plan->skip > 0) {
        plan->skip--;
        return 0;
    }
    plan->count--;
    plan->hits++;
    if (plan->error > 0) errno = plan->error;
    return 1;
}

#define HALF(n) ((n) > 1 ? (n) / 2 : (n))

/* The usual call: -1 when it fails. */
#define WRAP(call, name, params, args)                                                             \
    int __real_##name params;                                                                      \
    int __wrap_##name params;                                                                      \
    int __wrap_##name params { return fails(call) ? -1 : __real_##name args; }

/* A call that moves bytes may also move fewer than it was given. */
#define WRAP_BYTES(call, name, params, args, half)                                                 \
    ssize_t __real_##name params;                                                                  \
    ssize_t __wrap_##name params;                                                                  \
    ssize_t __wrap_##name params                                                                   \
    {                                                                                              \
        if (!fails(call)) return __real_##name args;                                               \
        return plan->error == EMPTY ? 0 : plan->error == SHORT ? __real_##name half : -1;          \
    }

WRAP(ACCEPT, accept, (int s, struct sockaddr *a, socklen_t *n), (s, a, n))
WRAP(BIND, bind, (int s, const struct sockaddr *a, socklen_t n), (s, a, n))
WRAP(CONNECT, connect, (int s, const struct sockaddr *a, socklen_t n), (s, a, n))
WRAP(DUP2, dup2, (int a, int b), (a, b))
WRAP(GETPEERNAME, getpeername, (int s, struct sockaddr *a, socklen_t *n), (s, a, n))
WRAP(GETSOCKNAME, getsockname, (int s, struct sockaddr *a, socklen_t *n), (s, a, n))
WRAP(GETSOCKOPT, getsockopt, (int s, int l, int o, void *v, socklen_t *n), (s, l, o, v, n))
WRAP(LISTEN, listen, (int s, int n), (s, n))
WRAP(POLL, poll, (struct pollfd *p, nfds_t n, int ms), (p, n, ms))
WRAP(SELECT, select, (int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *t), (n, r, w, e, t))
WRAP(SETSOCKOPT, setsockopt, (int s, int l, int o, const void *v, socklen_t n), (s, l, o, v, n))
WRAP(SOCKET, socket, (int d, int t, int p), (d, t, p))
WRAP(TCGETATTR, tcgetattr, (int fd, struct termios *t), (fd, t))
WRAP(TCSETATTR, tcsetattr, (int fd, int how, const struct termios *t), (fd, how, t))

WRAP_BYTES(READ, read, (int fd, void *p, size_t n), (fd, p, n), (fd, p, HALF(n)))
WRAP_BYTES(WRITE, write, (int fd, const void *p, size_t n), (fd, p, n), (fd, p, HALF(n)))
WRAP_BYTES(RECV, recv, (int s, void *p, size_t n, int f), (s, p, n, f), (s, p, HALF(n), f))
WRAP_BYTES(SEND, send, (int s, const void *p, size_t n, int f), (s, p, n, f), (s, p, HALF(n), f))
WRAP_BYTES(RECVFROM, recvfrom,
           (int s, void *p, size_t n, int f, struct sockaddr *a, socklen_t *l), (s, p, n, f, a, l),
           (s, p, HALF(n), f, a, l))
WRAP_BYTES(SENDTO, sendto,
           (int s, const void *p, size_t n, int f, const struct sockaddr *a, socklen_t l),
           (s, p, n, f, a, l), (s, p, HALF(n), f, a, l))
WRAP_BYTES(RECVMSG, recvmsg, (int s, struct msghdr *m, int f), (s, m, f), (s, m, f))
WRAP_BYTES(SENDMSG, sendmsg, (int s, const struct msghdr *m, int f), (s, m, f), (s, m, f))

int __real_getaddrinfo(const char *h, const char *p, const struct addrinfo *i, struct addrinfo **a);
int __wrap_getaddrinfo(const char *h, const char *p, const struct addrinfo *i, struct addrinfo **a);
int __wrap_getaddrinfo(const char *h, const char *p, const struct addrinfo *i, struct addrinfo **a)
{
    return fails(GETADDRINFO) ? EAI_MEMORY : __real_getaddrinfo(h, p, i, a);
}

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_malloc(size_t n) { return fails(MALLOC) ? NULL : __real_malloc(n); }

void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n) { return fails(REALLOC) ? NULL : __real_realloc(p, n); }

int __wrap_open(const char *name, int flags, ...);
int __wrap_open(const char *name, int flags, ...)
{
    mode_t mode = 0;
    va_list args;
    va_start(args, flags);
    if (flags & O_CREAT) mode = va_arg(args, mode_t);
    va_end(args);
    return fails(OPEN) ? -1 : __real_open(name, flags, mode);
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
    long value;
    va_list args;
    va_start(args, command);
    value = va_arg(args, long); /* what is not there is not looked at by the real one */
    va_end(args);
    return fails(FCNTL) ? -1 : __real_fcntl(fd, command, value);
}
