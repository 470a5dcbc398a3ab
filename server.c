/* server.c - a chat server: one select() loop around ocm.h

   cc -o server server.c              (Windows: gcc -o server server.c -lws2_32)
   ./server                           listens on all addresses, TCP port 8000, UDP 9000
   ./server -l 127.0.0.1/0:0          on free ports of this machine alone; stdout says which
   ./server -h                        all options

   Everything about rooms, members and messages is decided in ocm.h. This file moves bytes between
   sockets and the registry, and it has what the registry does not know: descriptors, time, and how
   long to wait. Read turn() first, near the end: it is the loop. */

/* ==== Platform: every #ifdef of this file =================================================== */

#ifdef _WIN32
#define _CRT_RAND_S /* rand_s */
#endif

/* ---- Sockets: the same text in server.c and client.c ---- */

#ifdef _WIN32
#if defined(_WIN32_WINNT) && _WIN32_WINNT < 0x0600
#undef _WIN32_WINNT
#endif
#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0600 /* Vista: inet_ntop, GetTickCount64 */
#endif
#ifndef FD_SETSIZE
#define FD_SETSIZE 1100 /* on Windows a program says itself how many sockets a set holds */
#endif
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>
#ifdef _MSC_VER
#pragma comment(lib, "ws2_32")
#endif
typedef SOCKET socket_t;
typedef int socklen;
#define NO_WAIT 0 /* no such flag: the sockets themselves are non-blocking */
#else
#ifndef _POSIX_C_SOURCE /* defined from outside, it means POSIX and nothing else */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifndef _DARWIN_C_SOURCE
#define _DARWIN_C_SOURCE
#endif
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
typedef int socket_t;
typedef socklen_t socklen;
#define INVALID_SOCKET (-1)
#define NO_WAIT MSG_DONTWAIT
#endif

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OCM_IMPLEMENTATION
#include "ocm.h"

#ifdef _WIN32
static void socket_close(socket_t s) { closesocket(s); }
static int socket_error(void) { return WSAGetLastError(); }
static int socket_full(int e) { return e == WSAEWOULDBLOCK || e == WSAENOBUFS || e == WSAEINTR; }
static int socket_cut(int e) { return e == WSAEMSGSIZE; } /* the buffer is full, the rest is lost */
static int socket_fits(socket_t s) { return s != INVALID_SOCKET; }
static uint64_t clock_ms(void) { return GetTickCount64(); }

static int socket_nonblocking(socket_t s)
{
    u_long on = 1;
    return ioctlsocket(s, (long)FIONBIO, &on) == 0;
}

/* The system's words for an error. Valid until the next call. */
static const char *socket_words(int e)
{
    static char words[256];
    DWORD n = FormatMessageA(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL,
                             (DWORD)e, 0, words, sizeof words, NULL);
    while (n > 0 && (unsigned char)words[n - 1] <= ' ') n--;
    words[n < sizeof words ? n : sizeof words - 1] = 0;
    return words;
}

static int platform_start(void)
{
    WSADATA data;
    return WSAStartup(MAKEWORD(2, 2), &data) == 0;
}
#else
static void socket_close(socket_t s) { close(s); }
static int socket_error(void) { return errno; }
static int socket_full(int e)
{
    return e == EAGAIN || e == EWOULDBLOCK || e == ENOBUFS || e == EINTR;
}
static int socket_cut(int e) { return (void)e, 0; } /* POSIX hands over what fits */
static int socket_fits(socket_t s) { return s >= 0 && s < FD_SETSIZE; } /* else FD_SET overflows */
static int socket_nonblocking(socket_t s) { return fcntl(s, F_SETFL, O_NONBLOCK) == 0; }
static const char *socket_words(int e) { return strerror(e); }

static uint64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* A standard descriptor that was closed (2>&-) must not become a socket's: the program would read
   from it or log into it. And a peer that is gone, or a file that may not grow, is to be an error
   of a call, not a signal that ends the program. */
static int platform_start(void)
{
    int fd;
#ifdef SIGXFSZ
    signal(SIGXFSZ, SIG_IGN);
#endif
    for (fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) return 0;
    return signal(SIGPIPE, SIG_IGN) != SIG_ERR;
}
#endif

static int socket_send(socket_t s, const uint8_t *p, size_t len)
{
    return (int)send(s, (const char *)p, (socklen)len, 0);
}

static int socket_receive(socket_t s, uint8_t *p, size_t len)
{
    return (int)recv(s, (char *)p, (socklen)len, 0);
}

/* One datagram; it never waits. 1 if the system took it. */
static int socket_send_to(socket_t s, const uint8_t *p, size_t len, const struct sockaddr *to,
                          socklen to_len)
{
    return sendto(s, (const char *)p, (socklen)len, NO_WAIT, to, to_len) >= 0;
}

/* The bytes of one datagram, of a longer one as many as fit, or -1. */
static int socket_receive_from(socket_t s, uint8_t *p, size_t len, int flags,
                               struct sockaddr_storage *from)
{
    socklen from_len = sizeof *from;
    int n = (int)recvfrom(s, (char *)p, (socklen)len, flags, (struct sockaddr *)from, &from_len);
    return n < 0 && socket_cut(socket_error()) ? (int)len : n;
}

/* As ocm.h writes addresses: IPv4 a.b.c.d is ::ffff:a.b.c.d. */
static ocm_addr addr_of(const struct sockaddr_storage *ss)
{
    ocm_addr a;
    memset(&a, 0, sizeof a);
    if (ss->ss_family == AF_INET) {
        struct sockaddr_in in4;
        memcpy(&in4, ss, sizeof in4);
        a.ip[10] = a.ip[11] = 0xFF;
        memcpy(a.ip + 12, &in4.sin_addr, 4);
        a.port = ntohs(in4.sin_port);
    } else if (ss->ss_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, ss, sizeof in6);
        memcpy(a.ip, &in6.sin6_addr, 16);
        a.port = ntohs(in6.sin6_port);
        if (a.ip[0] == 0xFE && (a.ip[1] & 0xC0) == 0x80) a.scope = in6.sin6_scope_id;
    }
    return a;
}

/* The address and port of this end of a socket. */
static ocm_addr addr_local(socket_t s)
{
    struct sockaddr_storage ss;
    socklen len = sizeof ss;
    memset(&ss, 0, sizeof ss);
    getsockname(s, (struct sockaddr *)&ss, &len);
    return addr_of(&ss);
}

/* The IP address as text, valid until the next call. */
static const char *addr_ip(const ocm_addr *a)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    static char text[INET6_ADDRSTRLEN];
    int four = memcmp(a->ip, mapped, 12) == 0;
    if (!inet_ntop(four ? AF_INET : AF_INET6, four ? a->ip + 12 : a->ip, text, sizeof text))
        strcpy(text, "?");
    return text;
}

/* ---- end of the same text ---- */

/* What only the server needs. */

#define READ_WAIT_MS 10 /* longest wait in recvfrom() instead of select() */
#define GATHER_MAX 32   /* datagrams that leave in one call */
#define LOG_MAX 512     /* bytes of a log line; what a pipe takes in one piece (POSIX, PIPE_BUF) */

typedef union socket_addr {
    struct sockaddr any;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
} socket_addr;

static volatile sig_atomic_t stopping;

static void on_signal(int sig)
{
    (void)sig;
    stopping = 1;
}

#ifdef _WIN32
#define LISTEN_ALONE SO_EXCLUSIVEADDRUSE /* else another program could take the port over */
#define WAITS_IN_READ 0 /* a socket that waits cannot be read without waiting */
static void set_add(fd_set *set, socket_t s) { FD_SET(s, set); }
static int set_has(const fd_set *set, socket_t s) { return FD_ISSET(s, set) != 0; }
static void socket_shut(socket_t s) { shutdown(s, SD_SEND); }
static void nap(int ms) { Sleep((DWORD)ms); }
static int socket_no_more(int e) { return e == WSAEMFILE || e == WSAENOBUFS; }
static int udp_mode(socket_t s) { return socket_nonblocking(s); }

static int log_write(const char *line, size_t len)
{
    return fwrite(line, 1, len, stderr) == len && fflush(stderr) == 0;
}

static int entropy(uint8_t *p, size_t len)
{
    unsigned int word;
    size_t i;
    for (i = 0; i < len; i++) {
        if (rand_s(&word) != 0) return 0;
        p[i] = (uint8_t)word;
    }
    return 1;
}

static void catch_signals(void)
{
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
}
#else
#define LISTEN_ALONE SO_REUSEADDR /* connections of a server just stopped do not hold the port */
#define WAITS_IN_READ 1
static void set_add(fd_set *set, socket_t s) { FD_SET((unsigned)s, set); }
static int set_has(const fd_set *set, socket_t s) { return FD_ISSET((unsigned)s, set) != 0; }
static void socket_shut(socket_t s) { shutdown(s, SHUT_WR); }
static void nap(int ms)
{
    struct timespec t;
    t.tv_sec = 0;
    t.tv_nsec = ms * 1000000l;
    nanosleep(&t, NULL);
}

static int socket_no_more(int e)
{
    return e == EMFILE || e == ENFILE || e == ENOBUFS || e == ENOMEM;
}

/* A UDP socket waits in recvfrom(), but not long, unless NO_WAIT is given. Its buffers stay as the
   system makes them: they hold a few milliseconds of work, larger ones turn overload into delay. */
static int udp_mode(socket_t s)
{
    struct timeval wait;
    wait.tv_sec = 0;
    wait.tv_usec = READ_WAIT_MS * 1000;
    return setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0;
}

/* Writes a line if stderr takes it at once: a reader that stops must not stop the server. What
   select() calls writable is a promise of LOG_MAX bytes for a pipe, but not for a terminal: that
   is opened once more, as O_NONBLOCK on stderr itself would also hold for other programs. */
static int log_write(const char *line, size_t len)
{
    static int fd = -1;
    struct timeval none;
    fd_set set;
    const char *terminal = fd < 0 ? ttyname(STDERR_FILENO) : NULL;
    if (terminal) fd = open(terminal, O_WRONLY | O_NOCTTY | O_NONBLOCK);
    if (!socket_fits(fd)) fd = STDERR_FILENO;
    memset(&none, 0, sizeof none);
    FD_ZERO(&set);
    set_add(&set, fd);
    return select(fd + 1, NULL, &set, NULL, &none) == 1 && write(fd, line, len) == (ssize_t)len;
}

#if defined(__APPLE__) || defined(__FreeBSD__) || defined(__OpenBSD__) || defined(__NetBSD__)
static int entropy(uint8_t *p, size_t len)
{
    arc4random_buf(p, len);
    return 1;
}
#else
static int entropy(uint8_t *p, size_t len)
{
    int fd = open("/dev/urandom", O_RDONLY);
    ssize_t n = 1;
    while (fd >= 0 && len > 0 && n > 0) {
        n = read(fd, p, len);
        if (n < 0 && errno == EINTR) n = 1;
        else if (n > 0) p += n, len -= (size_t)n;
    }
    if (fd >= 0) close(fd);
    return len == 0;
}
#endif

/* Without SA_RESTART: a signal is to end whatever waits. */
static void catch_signals(void)
{
    struct sigaction stop;
    memset(&stop, 0, sizeof stop);
    stop.sa_handler = on_signal;
    sigemptyset(&stop.sa_mask);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
}
#endif

#if defined(__linux__) && defined(_GNU_SOURCE)
#include <netinet/udp.h>

/* A socket that is bound to all addresses learns with each datagram at which of them it came, and
   sends from a given one: a client hears only the address that it asked. */
static void udp_learn_local(socket_t s, int family)
{
    int on = 1;
    if (family == AF_INET) setsockopt(s, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
    else setsockopt(s, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
}

typedef union udp_control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t))];
} udp_control;

/* Like socket_receive_from(); writes the local address as ocm_addr has it. */
static int udp_receive(socket_t s, uint8_t *p, size_t len, int flags,
                       struct sockaddr_storage *from, uint8_t local[16])
{
    udp_control control;
    struct iovec part;
    struct msghdr m;
    struct cmsghdr *c;
    int n;
    memset(&m, 0, sizeof m);
    part.iov_base = p;
    part.iov_len = len;
    m.msg_name = from;
    m.msg_namelen = sizeof *from;
    m.msg_iov = &part;
    m.msg_iovlen = 1;
    m.msg_control = control.bytes;
    m.msg_controllen = sizeof control.bytes;
    n = (int)recvmsg(s, &m, flags);
    c = n >= 0 ? CMSG_FIRSTHDR(&m) : NULL;
    if (c && c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
        struct in6_pktinfo info;
        memcpy(&info, CMSG_DATA(c), sizeof info);
        memcpy(local, &info.ipi6_addr, 16);
    } else if (c && c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo info;
        memcpy(&info, CMSG_DATA(c), sizeof info);
        local[10] = local[11] = 0xFF;
        memcpy(local + 12, &info.ipi_spec_dst, 4);
    }
    return n;
}

/* Adds a control message whose value is len bytes. */
static void control_add(struct msghdr *m, int level, int type, const void *value, size_t len)
{
    uint8_t *end = (uint8_t *)m->msg_control + m->msg_controllen;
    struct cmsghdr *c = (struct cmsghdr *)(void *)end;
    memset(c, 0, CMSG_SPACE(len));
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = (socklen)CMSG_LEN(len);
    memcpy(CMSG_DATA(c), value, len);
    m->msg_controllen = (socklen)(m->msg_controllen + CMSG_SPACE(len));
}

/* Sends p from the address `local` (NULL: any), cut into datagrams of `segment` bytes (0: whole;
   the last may be shorter). 1 if the system took it. */
static int udp_send(socket_t s, const uint8_t *p, size_t len, size_t segment,
                    const socket_addr *to, socklen to_len, const uint8_t *local)
{
    udp_control control;
    struct iovec part;
    struct msghdr m;
    if (!local && !segment) return socket_send_to(s, p, len, &to->any, to_len);
    memset(&m, 0, sizeof m);
    part.iov_base = (void *)(uintptr_t)p;
    part.iov_len = len;
    m.msg_name = (void *)(uintptr_t)to;
    m.msg_namelen = to_len;
    m.msg_iov = &part;
    m.msg_iovlen = 1;
    m.msg_control = control.bytes;
    if (local && to->any.sa_family == AF_INET) {
        struct in_pktinfo info;
        memset(&info, 0, sizeof info);
        memcpy(&info.ipi_spec_dst, local + 12, 4);
        control_add(&m, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else if (local) {
        struct in6_pktinfo info;
        memset(&info, 0, sizeof info);
        memcpy(&info.ipi6_addr, local, 16);
        control_add(&m, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
#ifdef UDP_SEGMENT
    if (segment) {
        uint16_t bytes = (uint16_t)segment;
        control_add(&m, IPPROTO_UDP, UDP_SEGMENT, &bytes, sizeof bytes);
    }
#endif
    return sendmsg(s, &m, NO_WAIT) >= 0;
}

/* How many datagrams udp_send() can cut: tried once, since a kernel before 4.18, and some
   emulators, would send them all as one. */
static int udp_gather_max(void)
{
    int known = 0, s = socket(AF_INET, SOCK_DGRAM, 0);
    socklen len = sizeof(struct sockaddr_in);
    uint8_t bytes[2] = {0};
    socket_addr self;
    memset(&self, 0, sizeof self);
    self.in4.sin_family = AF_INET;
    self.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (s >= 0 && bind(s, &self.any, len) == 0 && getsockname(s, &self.any, &len) == 0 &&
        udp_send(s, bytes, 2, 1, &self, len, NULL))
        known = recv(s, bytes, 2, NO_WAIT) == 1;
    if (s >= 0) close(s);
    return known ? GATHER_MAX : 1;
}
#else
/* One datagram for each call; which of the machine's addresses it leaves from, the system decides.
   If a machine has several, name each with -l. */
static void udp_learn_local(socket_t s, int family) { (void)s, (void)family; }
static int udp_gather_max(void) { return 1; }

static int udp_receive(socket_t s, uint8_t *p, size_t len, int flags,
                       struct sockaddr_storage *from, uint8_t local[16])
{
    (void)local;
    return socket_receive_from(s, p, len, flags, from);
}

static int udp_send(socket_t s, const uint8_t *p, size_t len, size_t segment,
                    const socket_addr *to, socklen to_len, const uint8_t *local)
{
    (void)segment, (void)local;
    return socket_send_to(s, p, len, &to->any, to_len);
}
#endif

/* ==== State ================================================================================= */

#define PAIRS_MAX 16        /* listeners */
#define CONNS_MAX 900       /* TCP connections: with all else below FD_SETSIZE everywhere */
#define CONNS_FEW 16        /* so many are watched by every select() */
#define TURN_MAX 64         /* datagrams read from a socket, or connections accepted, in a turn */
#define DELIVER_MAX 256     /* datagrams sent in a turn: then it is the inputs' turn again */
#define ANSWER_BYTES 262144 /* of TCP answers in a turn: a list has up to 64 KiB */
#define FEED_MAX 40         /* entries before a drain: a room takes 64, a datagram may bring 20 */
#define SEND_WAIT_MS 10     /* in a turn, for full send buffers */
#define VAIN_MAX 50         /* turns in which a socket seems ready, and nothing comes of it */
#define NAP_MS 10           /* after them */
#define LOOK_MS 10          /* while datagrams come, the listeners are looked at this often */
#define SLEEP_MS 500        /* longest wait: a signal that comes just before it is seen after it */
#define PAUSE_MS 1000       /* a longer turn means that the machine or the process stood still */
#define CATCH_UP_TURNS 64   /* after that, nobody times out for so many turns at most */
#define NO_MORE_MS 100      /* without a descriptor, the listeners are left alone for so long */
#define STOP_MS 2000        /* at the end: after that, full send buffers are not waited for */
#define SLOTS_MAX (SIZE_MAX > UINT32_MAX ? 100000000u : 500000u) /* rooms or members */
#define LOG_LINES 200       /* log lines in a second, apart from errors */

typedef struct pair { /* a TCP listener and the UDP socket beside it */
    socket_t tcp, udp;
    int family;
    int wildcard; /* bound to all addresses: it matters from which one a datagram leaves */
    uint16_t tcp_port, udp_port;
} pair;

typedef struct connection {
    socket_t s;
    ocm_conn *state;
    ocm_addr from;
    uint64_t origin; /* see origin_of() */
    int share;       /* connections of that origin, 0 for loopback */
    int sending;     /* waits until it can send */
    size_t read;     /* bytes that it can take */
    uint64_t active; /* ms: when something came last */
    uint64_t until;  /* ms: when it is to be looked at again */
} connection;

typedef struct gathering { /* datagrams to one address that are to leave in one call */
    int count;
    size_t len;
    ocm_event events[GATHER_MAX];
    uint8_t bytes[GATHER_MAX * OCM_BATCH_MAX];
} gathering;

static pair pairs[PAIRS_MAX];
static int pair_count;
static ocm_conn conn_states[CONNS_MAX];
static connection conns[CONNS_MAX]; /* the first conn_count are open, in no order */
static int conn_count;
static gathering gathered;
static int gather_max; /* 1: each datagram leaves alone */
static ocm_registry *registry;

static uint64_t now;          /* ms: the time of this turn */
static uint64_t registry_now; /* ms: the time that the registry is told to let pass, see turn() */
static uint64_t registry_until;
static uint64_t conns_at;     /* ms: when the connections are to be looked at again */
static uint64_t listeners_at; /* ms: likewise, listeners */
static uint64_t look_at;      /* ms: when select() is due, although datagrams come */
static int woken;             /* select() said that there is something to do, or failed */
static unsigned long worked;  /* things that were done: bytes and datagrams taken or sent */
static int busy;              /* the last turn read datagrams, or left some undelivered */
static int undelivered;       /* the registry has more to send */
static uint64_t fed;          /* messages and requests until the registry was drained last */
static int catching_up;       /* turns */
static int send_wait;         /* ms: what is left of SEND_WAIT_MS */
static long answer_bytes;     /* what is left of ANSWER_BYTES */
static int loudness = 1;      /* 0 errors only, 1 what happens in rooms, 2 connections, refusals */

static void die(int status, const char *format, ...)
{
    va_list args;
    fputs("server: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(status);
}

/* ==== Addresses ============================================================================= */

static int addr_mapped(const ocm_addr *a)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    return memcmp(a->ip, mapped, sizeof mapped) == 0;
}

static int addr_any(const ocm_addr *a)
{
    static const uint8_t zeros[16] = {0};
    return memcmp(a->ip, zeros, 16) == 0 || (addr_mapped(a) && memcmp(a->ip + 12, zeros, 4) == 0);
}

/* For a socket of that family. */
static socklen addr_to(const ocm_addr *a, int family, socket_addr *to)
{
    memset(to, 0, sizeof *to);
    if (family == AF_INET) {
        to->in4.sin_family = AF_INET;
        to->in4.sin_port = htons(a->port);
        memcpy(&to->in4.sin_addr, a->ip + 12, 4);
        return sizeof to->in4;
    }
    to->in6.sin6_family = AF_INET6;
    to->in6.sin6_port = htons(a->port);
    to->in6.sin6_scope_id = a->scope;
    memcpy(&to->in6.sin6_addr, a->ip, 16);
    return sizeof to->in6;
}

/* A number that is the same for connections that share one limit: of one IPv4 address, or of one
   IPv6 /64. 0 for loopback, which has no limit. */
static uint64_t origin_of(const ocm_addr *a)
{
    ocm_addr loopback;
    uint64_t n = 0;
    int i, four = addr_mapped(a);
    memset(&loopback, 0, sizeof loopback);
    loopback.ip[15] = 1;
    if (ocm_same_host(a, &loopback)) return 0;
    for (i = four ? 8 : 0; i < (four ? 16 : 8); i++) n = n << 8 | a->ip[i];
    return n ? n : 1;
}

/* ==== Log =================================================================================== */

static unsigned long log_dropped, log_left_out;
static int log_lines;        /* in this second */
static uint64_t log_second;  /* ms: when it began */

/* One line on stderr, with the time and, if not NULL, the address that it is about. Never the text
   of a message. Lines that are no errors (level 0) are limited by the second: anyone can cause
   them by joining and leaving. */
static void say(const ocm_addr *whom, int level, const char *format, ...)
{
    char line[LOG_MAX];
    size_t len, i;
    time_t t = time(NULL);
    va_list args;
    if (level > loudness) return;
    if (level > 0 && ++log_lines > LOG_LINES) {
        log_left_out++;
        return;
    }
    len = strftime(line, 32, "%Y-%m-%d %H:%M:%S ", localtime(&t));
    if (whom)
        len += (size_t)snprintf(line + len, 100, addr_mapped(whom) ? "%s:%u: " : "[%s]:%u: ",
                                addr_ip(whom), (unsigned)whom->port);
    va_start(args, format);
    vsnprintf(line + len, sizeof line - len - 1, format, args);
    va_end(args);
    len = strlen(line);
    for (i = 0; i < len; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7F) line[i] = '?';
    line[len++] = '\n';
    if (!log_write(line, len)) log_dropped++;
}

/* Says once a second how many lines were not written. */
static void log_settle(void)
{
    unsigned long left_out = log_left_out, dropped = log_dropped;
    log_second = now;
    log_lines = 0;
    log_left_out = log_dropped = 0;
    if (dropped) say(NULL, 0, "%lu log lines were dropped: stderr did not take them", dropped);
    if (log_dropped) log_dropped = dropped; /* nor did it take this one */
    if (left_out)
        say(NULL, 1, "%lu log lines were left out: there were more than %d in a second", left_out,
            LOG_LINES);
}

/* ==== Listening ============================================================================= */

/* A bound socket, or INVALID_SOCKET with the error in *why. */
static socket_t open_bound(const struct addrinfo *ai, int type, int *why)
{
    int on = 1, off = 0;
    socket_t s = socket(ai->ai_family, type, 0);
    *why = socket_error();
    if (s == INVALID_SOCKET) return s;
    if (type == SOCK_STREAM)
        setsockopt(s, SOL_SOCKET, LISTEN_ALONE, (const char *)&on, sizeof on);
    if (ai->ai_family == AF_INET6) /* where that fails, open_listener() opens a second pair */
        setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, (const char *)&off, sizeof off);
    if (socket_fits(s) && bind(s, ai->ai_addr, (socklen)ai->ai_addrlen) == 0 &&
        (type == SOCK_STREAM ? socket_nonblocking(s) && listen(s, SOMAXCONN) == 0 : udp_mode(s)))
        return s;
    *why = socket_error();
    socket_close(s);
    return INVALID_SOCKET;
}

static socket_t open_port(const char *host, unsigned port, int type, int *family)
{
    struct addrinfo hints, *list = NULL;
    char digits[16];
    socket_t s;
    int why = 0;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = *family;
    hints.ai_socktype = type;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    snprintf(digits, sizeof digits, "%u", port);
    if (getaddrinfo(host, digits, &hints, &list) != 0 || !list)
        die(1, "cannot find the address \"%s\" to listen on; give one of this machine with -l",
            host);
    *family = list->ai_family;
    s = open_bound(list, type, &why);
    freeaddrinfo(list);
    if (s == INVALID_SOCKET)
        die(1, "cannot listen on %s, %s port %u: %s; choose another with -l", host,
            type == SOCK_STREAM ? "TCP" : "UDP", port, socket_words(why));
    return s;
}

static const pair *open_pair(const char *host, unsigned tcp, unsigned udp)
{
    pair *p = &pairs[pair_count];
    ocm_addr local;
    if (pair_count == PAIRS_MAX) die(2, "-l: at most %d pairs of ports", PAIRS_MAX);
    p->family = AF_UNSPEC;
    p->tcp = open_port(host, tcp, SOCK_STREAM, &p->family);
    p->udp = open_port(host, udp, SOCK_DGRAM, &p->family);
    local = addr_local(p->udp);
    p->tcp_port = addr_local(p->tcp).port;
    if (!local.port || !p->tcp_port)
        die(1, "the system does not tell the ports of its sockets: %s",
            socket_words(socket_error()));
    p->udp_port = local.port;
    p->wildcard = addr_any(&local);
    if (p->wildcard) udp_learn_local(p->udp, p->family);
    pair_count++;
    return p;
}

/* 1 if a pair on all IPv6 addresses does not hear IPv4. */
static int deaf_to_ipv4(const pair *p)
{
    int only = 0;
    socklen len = sizeof only;
    return p->wildcard && p->family == AF_INET6 &&
           getsockopt(p->tcp, IPPROTO_IPV6, IPV6_V6ONLY, (char *)&only, &len) == 0 && only != 0;
}

static int port_number(const char *text, unsigned *port)
{
    size_t len = strlen(text);
    if (len < 1 || len > 5 || strspn(text, "0123456789") != len) return 0;
    *port = (unsigned)atoi(text);
    return *port <= 65535;
}

/* arg: [HOST/]TCP:UDP. Without a host: all addresses, IPv4 and IPv6 on one pair of sockets where
   the system can do that; IPv4 alone on a machine that has no IPv6. */
static void open_listener(const char *arg)
{
    char text[300], *ports = text, *slash, *colon;
    const char *host = "::";
    const pair *p;
    unsigned tcp = 0, udp = 0;
    if (strlen(arg) >= sizeof text) die(2, "-l %s: too long; write [HOST/]TCP:UDP", arg);
    strcpy(text, arg);
    if ((slash = strrchr(text, '/')) != NULL) {
        *slash = 0;
        ports = slash + 1;
        host = text;
    }
    if ((colon = strchr(ports, ':')) == NULL || slash == text)
        die(2, "-l %s: write [HOST/]TCP:UDP, for example -l 127.0.0.1/8000:9000", arg);
    *colon++ = 0;
    if (!port_number(ports, &tcp) || !port_number(colon, &udp))
        die(2, "-l %s: a port is a number from 0 to 65535", arg);
    if (!slash) {
        socket_t probe = socket(AF_INET6, SOCK_STREAM, 0);
        if (probe == INVALID_SOCKET) host = "0.0.0.0";
        else socket_close(probe);
    }
    p = open_pair(host, tcp, udp);
    tcp = p->tcp_port;
    udp = p->udp_port;
    if (deaf_to_ipv4(p)) open_pair("0.0.0.0", tcp, udp);
    printf("listening on %s/%u:%u\n", host, tcp, udp);
}

/* ==== UDP =================================================================================== */

/* 0 if it cannot be sent. What finds only full buffers is dropped, as a network would. */
static int send_bytes(const ocm_addr *to, const uint8_t *p, size_t len, size_t segment)
{
    static const uint8_t unknown[16] = {0};
    const pair *at = &pairs[to->socket];
    const uint8_t *local = at->wildcard && memcmp(to->local, unknown, 16) ? to->local : NULL;
    socket_addr sa;
    socklen sa_len = addr_to(to, at->family, &sa);
    while (!udp_send(at->udp, p, len, segment, &sa, sa_len, local)) {
        uint64_t began;
        struct timeval t;
        fd_set set;
        if (!socket_full(socket_error())) return 0;
        if (send_wait <= 0) return 1;
        began = clock_ms();
        t.tv_sec = 0;
        t.tv_usec = send_wait * 1000;
        FD_ZERO(&set);
        set_add(&set, at->udp);
        select((int)at->udp + 1, NULL, &set, NULL, &t);
        send_wait -= (int)(clock_ms() - began) + 1; /* it may return at once, and still be full */
    }
    return 1;
}

static void send_event(const ocm_event *ev, const uint8_t *p, size_t len)
{
    if (send_bytes(&ev->to, p, len, 0)) return;
    say(&ev->to, 2, "cannot send there: %s", socket_words(socket_error()));
    ocm_registry_failed(registry, ev, now);
}

/* Sends what is gathered: in one call, or one by one if the way there cannot do that. */
static void send_gathered(void)
{
    int i, whole = gathered.count > 1 && send_bytes(&gathered.events[0].to, gathered.bytes,
                                                    gathered.len, OCM_BATCH_MAX);
    for (i = 0; i < gathered.count && !whole; i++) {
        const ocm_event *ev = &gathered.events[i];
        send_event(ev, gathered.bytes + (size_t)i * OCM_BATCH_MAX, ev->datagram.len);
    }
    gathered.count = 0;
    gathered.len = 0;
}

/* Full batches to one address are gathered, together with a shorter one that ends them. */
static void send_or_gather(const ocm_event *ev)
{
    size_t len = ev->datagram.len;
    int joins = gathered.count && len <= OCM_BATCH_MAX &&
                memcmp(&ev->to, &gathered.events[0].to, sizeof ev->to) == 0;
    if (gathered.count && !joins) send_gathered();
    if (!joins && (len != OCM_BATCH_MAX || gather_max == 1)) {
        send_event(ev, ev->datagram.ptr, len);
        return;
    }
    memcpy(gathered.bytes + gathered.len, ev->datagram.ptr, len);
    gathered.len += len;
    gathered.events[gathered.count++] = *ev;
    if (len < OCM_BATCH_MAX || gathered.count == gather_max) send_gathered();
}

static void log_removed(const ocm_event *ev)
{
    static const char *const why[] = {
        "",
        "left",
        "the host is gone, and the room with it",
        "timed out",
        "cannot be reached",
        "the server stops",
        "the connection broke before the answer was sent"};
    size_t i = (size_t)ev->reason < sizeof why / sizeof why[0] ? (size_t)ev->reason : 0;
    say(NULL, 1, "\"%.*s\" is out of \"%.*s\": %s", OCM_S(ev->name), OCM_S(ev->room), why[i]);
}

/* Sends what the registry has to send, a portion of it. 1 if there may be more. */
static int deliver(void)
{
    const ocm_counts *c = ocm_registry_counts(registry);
    ocm_event ev;
    int n;
    fed = c->messages + c->requests;
    for (n = 0; n < DELIVER_MAX; n++) {
        if (!ocm_registry_next(registry, registry_now, &ev)) {
            registry_until = ev.until;
            break;
        }
        if (ev.reason) log_removed(&ev);
        send_or_gather(&ev);
    }
    send_gathered();
    return n == DELIVER_MAX;
}

/* After an input, while more are read: a room that is full refuses. */
static void deliver_in_time(void)
{
    const ocm_counts *c = ocm_registry_counts(registry);
    if (c->messages + c->requests - fed >= FEED_MAX) undelivered = deliver();
}

/* A datagram from one of our own UDP sockets would go in circles. It has the port of one, and only
   this machine can bind to its address. */
static int from_ourselves(const ocm_addr *from)
{
    socket_addr to;
    ocm_addr probe = *from;
    socklen len;
    socket_t s;
    int i, ours, off = 0;
    for (i = 0; i < pair_count && pairs[i].udp_port != from->port;) i++;
    if (i == pair_count) return 0;
    probe.port = 0;
    len = addr_to(&probe, pairs[from->socket].family, &to);
    s = socket(pairs[from->socket].family, SOCK_DGRAM, 0);
    if (s == INVALID_SOCKET) return 1;
    if (pairs[from->socket].family == AF_INET6) /* or it could not bind to an IPv4 address */
        setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, (const char *)&off, sizeof off);
    ours = bind(s, &to.any, len) == 0;
    socket_close(s);
    return ours;
}

/* Reads the clock; a wait has just ended. */
static void tick(void)
{
    uint64_t t = clock_ms();
    if (t - now > PAUSE_MS) {
        say(NULL, 1, "stood still for %lu ms; what came meanwhile is read before anyone times out",
            (unsigned long)(t - now));
        catching_up = CATCH_UP_TURNS;
    }
    now = t;
}

/* Reads what has come, up to a bound, and returns how many datagrams that was. The first may be
   waited for, without NO_WAIT in flags. */
static int read_datagrams(int which, int flags)
{
    const pair *p = &pairs[which];
    uint8_t buf[OCM_DATAGRAM_MAX + 1];
    struct sockaddr_storage ss;
    int n;
    for (n = 0; n < TURN_MAX; n++) {
        uint8_t local[16] = {0};
        ocm_addr from;
        int len = p->wildcard ? udp_receive(p->udp, buf, sizeof buf, flags, &ss, local)
                              : socket_receive_from(p->udp, buf, sizeof buf, flags, &ss);
        int e = len < 0 ? socket_error() : 0;
        if (flags != NO_WAIT) tick();
        flags = NO_WAIT;
        if (len < 0 && socket_full(e)) break;
        if (len < 0) continue; /* an earlier datagram of ours reached nobody */
        worked++;
        from = addr_of(&ss);
        from.socket = (uint16_t)which;
        memcpy(from.local, local, 16);
        if (!from_ourselves(&from)) ocm_registry_datagram(registry, buf, (size_t)len, &from, now);
        deliver_in_time();
    }
    return n;
}

/* ==== TCP =================================================================================== */

/* Adds to the share of all connections of an origin; returns how many they are. */
static int conn_share(uint64_t origin, int change)
{
    int i, held = 0;
    for (i = 0; origin && i < conn_count; i++) {
        if (conns[i].origin != origin) continue;
        conns[i].share += change;
        held++;
    }
    return held;
}

/* Afterwards another connection, or none, is in this place. */
static void conn_close(connection *c, const char *why)
{
    connection gone = *c;
    say(&c->from, 2, "connection closed: %s", why);
    ocm_conn_close(c->state, registry, now);
    socket_close(c->s);
    *c = conns[--conn_count];
    conns[conn_count] = gone;
    conn_share(gone.origin, -1);
    listeners_at = 0; /* there is a descriptor again */
}

/* Closes a connection for one that is new. It is the longest silent one of the origin that holds
   most, or of a given origin (0: any): strangers who only sit there keep nobody out. */
static void conn_evict(uint64_t origin, const char *why)
{
    connection *worst = NULL;
    int i;
    for (i = 0; i < conn_count; i++) {
        connection *c = &conns[i];
        if (origin && c->origin != origin) continue;
        if (!worst || c->share > worst->share ||
            (c->share == worst->share && c->active < worst->active))
            worst = c;
    }
    if (worst) conn_close(worst, why);
}

static void log_answer(const connection *c, const ocm_io *io)
{
    static const char *const words[] = {"request", "create", "join", "list"};
    int member = io->op != OCM_LIST && io->status < 300;
    say(&c->from, member ? 1 : 2, "%s \"%.*s\" as \"%.*s\": %d",
        words[io->op >= 1 && io->op <= 3 ? io->op : 0], OCM_S(io->room), OCM_S(io->name),
        io->status);
}

/* Does what the connection wants done; answers at most one request. */
static void conn_work(connection *c)
{
    ocm_io io;
    int answered = 0;
    for (;;) {
        int n;
        ocm_conn_next(c->state, registry, now, &io);
        if (io.status) log_answer(c, &io);
        if (io.status) deliver_in_time();
        answered |= io.status;
        if (io.shut) socket_shut(c->s);
        if (io.close) {
            conn_close(c, "it is over");
            return;
        }
        c->read = io.read;
        c->until = io.until;
        c->sending = 0;
        if (!io.send.len) return;
        n = socket_send(c->s, io.send.ptr, io.send.len);
        c->sending = n < 0 && socket_full(socket_error());
        if (c->sending) return;
        if (n < 0) {
            conn_close(c, socket_words(socket_error()));
            return;
        }
        worked++;
        ocm_conn_sent(c->state, (size_t)n);
        answer_bytes -= n;
        if (answered) break;
    }
    c->until = now; /* the next request is for the next turn */
}

static void conn_read(connection *c)
{
    uint8_t buf[OCM_FRAME_MAX];
    int n = socket_receive(c->s, buf, c->read < sizeof buf ? c->read : sizeof buf);
    if (n < 0 && socket_full(socket_error())) return;
    if (n < 0) {
        conn_close(c, socket_words(socket_error()));
        return;
    }
    worked++;
    c->active = now;
    ocm_conn_received(c->state, buf, (size_t)n, now);
    conn_work(c);
}

/* Makes a connection of an accepted socket. */
static void conn_open(int which, socket_t s, const struct sockaddr_storage *ss)
{
    ocm_addr from = addr_of(ss), local = addr_local(s);
    uint64_t origin = origin_of(&from);
    connection *c;
    ocm_conn *state;
    worked++;
    from.socket = (uint16_t)which;
    memcpy(from.local, local.ip, 16);
    if (conn_share(origin, 0) >= CONNS_MAX / 4)
        conn_evict(origin, "its address has too many, and a new one came");
    else if (conn_count == CONNS_MAX) conn_evict(0, "another one needs the place");
    c = &conns[conn_count];
    state = c->state ? c->state : &conn_states[conn_count];
    memset(c, 0, sizeof *c);
    c->state = state;
    c->s = s;
    c->from = from;
    c->origin = origin;
    c->share = conn_share(origin, 1);
    c->share += origin != 0;
    c->active = now;
    conn_count++;
    say(&from, 2, "connected");
    ocm_conn_open(state, &from, now);
    conn_work(c);
}

/* 0 when nobody is waiting, or nobody can be taken. waiting: 1 if somebody surely is; without a
   descriptor accept() does not look. */
static int conn_accept(int which, int waiting)
{
    static uint64_t said;
    struct sockaddr_storage ss;
    socklen len = sizeof ss;
    socket_t s = accept(pairs[which].tcp, (struct sockaddr *)&ss, &len);
    if (s == INVALID_SOCKET && waiting && socket_no_more(socket_error())) {
        const char *why = socket_words(socket_error());
        if (now - said >= 1000) say(NULL, 0, "cannot take a connection: %s (see ulimit -n)", why);
        if (now - said >= 1000) said = now;
        listeners_at = now + NO_MORE_MS; /* unless one can be closed */
        conn_evict(0, "another one needs the descriptor");
        return 0;
    }
    if (s == INVALID_SOCKET) return 0;
    if (!socket_fits(s) || !socket_nonblocking(s)) {
        say(NULL, 1, "a connection was refused: select() cannot watch its descriptor");
        socket_close(s);
        return 1;
    }
    conn_open(which, s, &ss);
    return 1;
}

/* ==== Loop ================================================================================== */

static void watch(socket_t s, fd_set *set, int *top)
{
    set_add(set, s);
    if ((int)s > *top) *top = (int)s;
}

/* Waits until something happens on a socket or time has run out. */
static void wait_for_events(fd_set *readable, fd_set *writable, int all)
{
    uint64_t until = now + SLEEP_MS;
    struct timeval t;
    int i, top = 0;
    FD_ZERO(readable);
    FD_ZERO(writable);
    for (i = 0; i < pair_count; i++) {
        watch(pairs[i].udp, readable, &top);
        if (now >= listeners_at) watch(pairs[i].tcp, readable, &top);
    }
    for (i = 0; all && i < conn_count; i++) {
        const connection *c = &conns[i];
        if (c->read) watch(c->s, readable, &top);
        if (c->sending) watch(c->s, writable, &top);
        if (c->until < until) until = c->until;
    }
    if (!all && conns_at < until) until = conns_at;
    if (now < listeners_at && listeners_at < until) until = listeners_at;
    if (registry_until < until) until = registry_until;
    if (undelivered || catching_up || until < now) until = now;
    t.tv_sec = 0;
    t.tv_usec = (int)(until - now) * 1000;
    i = select(top + 1, readable, writable, NULL, &t);
    woken = i != 0;
    tick();
    if (i >= 0) return;
    FD_ZERO(readable); /* a signal: the sets mean nothing */
    FD_ZERO(writable);
}

/* Serves the connections in turn, until their answers are enough for this turn: those that did
   not get theirs come first in the next one. */
static void serve_conns(const fd_set *readable, const fd_set *writable)
{
    static int next;
    int left;
    for (left = conn_count; left > 0 && answer_bytes > 0; left--) {
        connection *c;
        if (next <= 0 || next > conn_count) next = conn_count;
        if (next == 0) return;
        c = &conns[--next];
        if (c->read && set_has(readable, c->s)) conn_read(c);
        else if ((c->sending && set_has(writable, c->s)) || now >= c->until) conn_work(c);
    }
}

/* Looks at the sockets; returns the most datagrams read from one. While datagrams come, not every
   select() watches the connections if there are many, since each costs it 60 to 400 ns: a request
   can wait a millisecond for every 16 of them, and a message need not pay for them. */
static int serve_sockets(void)
{
    int i, n, most = 0, all = !busy || conn_count <= CONNS_FEW || now >= conns_at;
    fd_set readable, writable;
    wait_for_events(&readable, &writable, all);
    look_at = now + LOOK_MS;
    answer_bytes = ANSWER_BYTES;
    for (i = 0; i < pair_count; i++) {
        n = set_has(&readable, pairs[i].tcp) ? 0 : TURN_MAX;
        while (n < TURN_MAX && conn_accept(i, n == 0)) n++;
    }
    if (all) {
        conns_at = now + LOOK_MS + (uint64_t)conn_count / 16;
        serve_conns(&readable, &writable);
    }
    for (i = 0; i < pair_count; i++) {
        n = set_has(&readable, pairs[i].udp) ? read_datagrams(i, NO_WAIT) : 0;
        if (n > most) most = n;
    }
    return most;
}

/* One turn: wait, read, let time pass, send. While a single UDP socket is all that is busy, the
   wait is in recvfrom(), which saves a select() for each datagram.

   After a pause (a stopped process, a suspended machine) the keep-alives that came meanwhile lie
   unread. So the registry's time stands still until they are read: the sockets are empty (the first
   turn cannot tell, it may be an interrupted wait), or, in a flood, some turns have passed. */
static void turn(void)
{
    static int vain;
    unsigned long before = worked;
    int most;
    woken = 0;
    send_wait = SEND_WAIT_MS;
    if (WAITS_IN_READ && pair_count == 1 && busy && !undelivered && now < look_at)
        most = read_datagrams(0, 0);
    else most = serve_sockets();
    if (catching_up) catching_up--;
    if (most < TURN_MAX && catching_up < CATCH_UP_TURNS - 1) catching_up = 0;
    if (!catching_up) registry_now = now;
    undelivered = deliver();
    busy = most > 0 || undelivered;
    vain = (woken || most) && worked == before && !undelivered ? vain + 1 : 0;
    if (vain >= VAIN_MAX) nap(NAP_MS); /* a call fails again and again: not at full speed */
    if (now - log_second >= 1000) log_settle();
}

/* ==== Main ================================================================================== */

static const char usage[] =
    "usage: server [-l [HOST/]TCP:UDP]... [-R rooms] [-M members] [-S members-of-a-room]\n"
    "              [-H members-of-an-address] [-G log-KiB] [-i idle-seconds]\n"
    "              [-r messages-per-second] [-q | -v] [-h] [-V]\n"
    "  -l  listen there; may be given several times, to listen on all of them\n"
    "      (default 8000:9000 on all addresses; port 0: any free one)\n"
    "  -R  rooms at once (default 1000)\n"
    "  -M  members at once (default 10000)\n"
    "  -S  members of one room (default 1000, 0: no limit)\n"
    "  -H  members from one address, of IPv6 from one /64 (default a quarter of -M, 0: no limit;\n"
    "      this machine's own are not limited)\n"
    "  -G  KiB that hold the last messages of all rooms (default 4096)\n"
    "  -i  seconds of silence after which a member is dropped (default 300)\n"
    "  -r  messages a second that a member may send, in bursts of twice as many\n"
    "      (default 50, 0: no limit)\n"
    "  -q  log errors only             -v  log connections and refusals, too\n"
    "  -h  this text                   -V  the version\n";

/* An option's value; where 0 is allowed, it means that there is no limit. */
static uint32_t number(int option, const char *text, uint32_t least, uint32_t most)
{
    size_t len = strlen(text);
    int digits = len >= 1 && len <= 9 && strspn(text, "0123456789") == len;
    unsigned long n = digits ? strtoul(text, NULL, 10) : 0;
    if (!digits || n < least || n > most)
        die(2, "-%c %s: give a number from %lu to %lu", option, text, (unsigned long)least,
            (unsigned long)most);
    return n ? (uint32_t)n : OCM_UNLIMITED;
}

/* Returns how many -l there were; they are opened once all options are known to be right. */
static int options(int argc, char **argv, ocm_limits *limits, const char *listen_on[PAIRS_MAX])
{
    int i, listeners = 0;
    for (i = 1; i < argc; i++) {
        int option = argv[i][0] == '-' && argv[i][1] && !argv[i][2] ? argv[i][1] : 0;
        if (strcmp(argv[i], "--help") == 0) option = 'h';
        if (strcmp(argv[i], "--version") == 0) option = 'V';
        if (option == 'h') exit(fputs(usage, stdout) < 0);
        if (option == 'V') exit(printf("server %s\n", OCM_VERSION) < 0);
        if (option == 'q' || option == 'v') {
            loudness = option == 'q' ? 0 : 2;
            continue;
        }
        if (!option || !strchr("lRMSHGir", option))
            die(2, "unknown argument \"%s\"; see server -h", argv[i]);
        if (++i == argc) die(2, "-%c needs a value; see server -h", option);
        if (option == 'R') limits->rooms = number(option, argv[i], 1, SLOTS_MAX);
        else if (option == 'M') limits->members = number(option, argv[i], 1, SLOTS_MAX);
        else if (option == 'S') limits->room_size = number(option, argv[i], 0, SLOTS_MAX);
        else if (option == 'H') limits->origin_size = number(option, argv[i], 0, SLOTS_MAX);
        else if (option == 'G') limits->log = number(option, argv[i], 64, 1048576) * 1024;
        else if (option == 'i') limits->idle = number(option, argv[i], 1, 86400 * 365);
        else if (option == 'r') limits->rate = number(option, argv[i], 0, 1000000);
        else if (listeners == PAIRS_MAX) die(2, "-l %s: at most %d listeners", argv[i], PAIRS_MAX);
        else listen_on[listeners++] = argv[i];
    }
    if (!listeners) listen_on[listeners++] = "8000:9000";
    return listeners;
}

static ocm_registry *open_registry(const ocm_limits *limits)
{
    uint8_t seed[32];
    volatile uint8_t *wipe = seed;
    ocm_registry *g;
    size_t i;
    void *mem = malloc(ocm_registry_size(limits));
    if (!mem) die(1, "no memory for so many rooms and members; ask for fewer with -R and -M");
    if (!entropy(seed, sizeof seed)) die(1, "the system gives no random bytes for the tokens");
    g = ocm_registry_init(mem, limits, seed);
    for (i = 0; i < sizeof seed; i++) wipe[i] = 0; /* tokens are made of it */
    return g;
}

static void stop(void)
{
    const ocm_counts *c = ocm_registry_counts(registry);
    uint64_t end = clock_ms() + STOP_MS;
    ocm_registry_stop(registry);
    do send_wait = clock_ms() < end ? SEND_WAIT_MS : 0;
    while (deliver());
    log_settle();
    say(NULL, 1,
        "stopped: %llu requests (%llu refused), %llu datagrams in (%llu dropped), "
        "%llu messages (%llu refused), %llu datagrams out",
        (unsigned long long)c->requests, (unsigned long long)c->refused,
        (unsigned long long)c->datagrams, (unsigned long long)c->dropped,
        (unsigned long long)c->messages, (unsigned long long)c->rejected,
        (unsigned long long)c->events);
}

int main(int argc, char **argv)
{
    ocm_limits limits;
    const char *listen_on[PAIRS_MAX];
    int i, listeners;
    memset(&limits, 0, sizeof limits); /* zero: the default */
    listeners = options(argc, argv, &limits, listen_on);
    if (!platform_start()) die(1, "the system gives no sockets, or there is no /dev/null");
    gather_max = udp_gather_max();
    registry = open_registry(&limits);
    catch_signals(); /* before anyone can know that it runs */
    for (i = 0; i < listeners; i++) open_listener(listen_on[i]);
    fflush(stdout);
    now = registry_now = log_second = clock_ms();
    while (!stopping) turn();
    stop();
    return 0;
}
