/* server.c - a chat server: one select() loop around ocm.h

   cc -o server server.c              (Windows: gcc -o server server.c -lws2_32)
   ./server                           listens on all addresses, TCP port 8000, UDP 9000
   ./server -l 127.0.0.1/0:0          on free ports of this machine alone; stdout says which
   ./server -h                        all options

   Everything about rooms, members and messages is decided in ocm.h. This file moves bytes between
   sockets and the registry, and it has what the registry does not know: descriptors, time, and how
   long to wait. Read turn() first, near the end: it is the loop. */

/* ---- Sockets: the same text in server.c and client.c ---- */

#ifdef _WIN32
#undef _WIN32_WINNT
#define _WIN32_WINNT 0x0600 /* Vista: inet_ntop, GetTickCount64 */
#undef FD_SETSIZE
#define FD_SETSIZE 1100 /* on Windows a program says itself how many sockets a set holds */
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>
typedef SOCKET socket_t;
typedef int socklen;
#define NO_WAIT 0 /* no such flag: the sockets themselves are non-blocking */
#define SHUT_WR SD_SEND
#else
#if !defined(_GNU_SOURCE) && !defined(_POSIX_C_SOURCE) /* the latter: POSIX and nothing else */
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/socket.h>
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
static int socket_fits(socket_t s) { return s != INVALID_SOCKET; }
static uint64_t clock_ms(void) { return GetTickCount64(); }
static const char *socket_words(int e) { return gai_strerrorA(e); } /* it knows all errors */
static void nap(int ms) { Sleep((DWORD)ms); }

static int socket_nonblocking(socket_t s)
{
    u_long on = 1;
    return ioctlsocket(s, (long)FIONBIO, &on) == 0;
}

static int platform_start(void)
{
    WSADATA data;
    return WSAStartup(MAKEWORD(2, 2), &data) == 0;
}
#else
static void socket_close(socket_t s) { close(s); }
static int socket_error(void) { return errno; }
static int socket_full(int e) { return e == EAGAIN || e == ENOBUFS || e == EINTR; }
static int socket_fits(socket_t s) { return s >= 0 && s < FD_SETSIZE; } /* else FD_SET overflows */
static int socket_nonblocking(socket_t s) { return fcntl(s, F_SETFL, O_NONBLOCK) == 0; }
static const char *socket_words(int e) { return strerror(e); }
static void nap(int ms) { poll(NULL, 0, ms); }

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
    static char text[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET6, a->ip, text, sizeof text);
    return strchr(text, '.') && strncmp(text, "::ffff:", 7) == 0 ? text + 7 : text;
}

/* ---- end of the same text ---- */

/* ==== Platform: what only the server needs, and the rest of the #ifdefs ===================== */

#include <limits.h>
#ifndef PIPE_BUF      /* bytes that a pipe takes in one piece: as long are log lines, at most */
#define PIPE_BUF 4096 /* on Windows */
#endif

#define READ_WAIT_MS 10 /* longest wait for a datagram where select() is spared */

typedef struct pair { /* a TCP listener and the UDP socket beside it */
    socket_t tcp, udp;
    ocm_addr at;    /* of the UDP socket */
    int family;
    int everywhere; /* bound to all addresses: it matters from which one a datagram leaves */
} pair;

typedef union socket_addr {
    struct sockaddr any;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
} socket_addr;

static volatile sig_atomic_t stopping;

static void on_signal(int sig)
{
    signal(sig, on_signal); /* System V forgets it: the next one would end the program at once */
    stopping = 1;
}

#ifdef _WIN32
#include <ntsecapi.h>
#define LISTEN_ALONE SO_EXCLUSIVEADDRUSE /* else another program could take the port over */
#define WAITS_IN_READ 0 /* a socket that waits cannot be read without waiting */
static int no_more_sockets(int e) { return e == WSAEMFILE || e == WSAENOBUFS; }
static int udp_mode(socket_t s) { return socket_nonblocking(s); }
static int entropy(uint8_t *p, size_t len) { return RtlGenRandom(p, (ULONG)len); }
static int log_write(const char *p, size_t len) { return fwrite(p, 1, len, stderr) == len; }
#else
#define LISTEN_ALONE SO_REUSEADDR /* connections of a server just stopped do not hold the port */
#define WAITS_IN_READ 1
static int no_more_sockets(int e) { return e == EMFILE || e == ENFILE || e == ENOMEM; }

/* A UDP socket waits when it is read, but not long, unless NO_WAIT is given. Its buffers stay as
   the system makes them: they hold a few milliseconds of work, larger ones turn overload into
   delay. */
static int udp_mode(socket_t s)
{
    struct timeval wait = {0, READ_WAIT_MS * 1000};
#ifdef SO_ATTACH_FILTER /* Linux */
    /* A datagram with a wrong checksum begins the wait anew, and a stranger could make it last. If
       there is a filter, one that passes everything, such a datagram is dropped before. */
    struct { uint16_t code; uint8_t jt, jf; uint32_t k; } all = {6, 0, 0, 65536}; /* BPF_RET */
    struct { unsigned short len; void *filter; } program = {1, &all};
    setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
#endif
    return setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0;
}

/* Writes a line if stderr takes it at once: a reader that stops must not stop the server. What
   poll() calls writable is a promise of PIPE_BUF bytes for a pipe, but not for a terminal: that
   is opened once more, as O_NONBLOCK on stderr itself would also hold for other programs. */
static int log_write(const char *p, size_t len)
{
    static struct pollfd out = {-1, POLLOUT, 0};
    const char *terminal = out.fd < 0 ? ttyname(STDERR_FILENO) : NULL;
    if (terminal) out.fd = open(terminal, O_WRONLY | O_NOCTTY | O_NONBLOCK);
    if (out.fd < 0) out.fd = STDERR_FILENO;
    return poll(&out, 1, 0) == 1 && write(out.fd, p, len) == (ssize_t)len;
}

static int entropy(uint8_t *p, size_t len)
{
    int fd = open("/dev/urandom", O_RDONLY);
    ssize_t n = read(fd, p, len);
    if (fd >= 0) close(fd);
    return n == (ssize_t)len;
}
#endif

/* An address for a socket of that family. */
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

#if defined(__linux__) && defined(_GNU_SOURCE)
#define TELLS_LOCAL 1 /* with each datagram, at which of the machine's addresses it came */
#define UDP_SEGMENT 103 /* of linux/udp.h */

typedef union udp_control {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
} udp_control;

/* A socket that is bound to all addresses learns with each datagram at which of them it came, and
   sends from a given one: a client hears only the address that it asked. */
static void udp_learn_local(socket_t s, int family)
{
    int on = 1, six = family == AF_INET6;
    setsockopt(s, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_RECVPKTINFO : IP_PKTINFO, &on,
               sizeof on);
}

/* Writes from->local, too. */
static int udp_receive_local(socket_t s, uint8_t *p, size_t len, int flags, ocm_addr *from)
{
    struct sockaddr_storage ss;
    udp_control control;
    struct iovec part = {p, len};
    struct msghdr m = {.msg_name = &ss, .msg_namelen = sizeof ss, .msg_iov = &part, .msg_iovlen = 1,
                       .msg_control = &control, .msg_controllen = sizeof control};
    int n = (int)recvmsg(s, &m, flags);
    const struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m);
    if (n >= 0) *from = addr_of(&ss);
    if (c && ss.ss_family == AF_INET6) {
        memcpy(from->local, CMSG_DATA(c) + offsetof(struct in6_pktinfo, ipi6_addr), 16);
    } else if (c) {
        from->local[10] = from->local[11] = 0xFF;
        memcpy(from->local + 12, CMSG_DATA(c) + offsetof(struct in_pktinfo, ipi_spec_dst), 4);
    }
    return n;
}

static int udp_send_from(const pair *from, const ocm_addr *to, const uint8_t *p, size_t len)
{
    int four = from->family == AF_INET;
    size_t size = four ? sizeof(struct in_pktinfo) : sizeof(struct in6_pktinfo);
    udp_control control = {{0}};
    socket_addr sa;
    struct iovec part = {(void *)p, len};
    struct msghdr m = {.msg_name = &sa, .msg_namelen = addr_to(to, from->family, &sa),
                       .msg_iov = &part, .msg_iovlen = 1,
                       .msg_control = &control, .msg_controllen = CMSG_SPACE(size)};
    uint8_t *value = CMSG_DATA(&control.head);
    control.head.cmsg_level = four ? IPPROTO_IP : IPPROTO_IPV6;
    control.head.cmsg_type = four ? IP_PKTINFO : IPV6_PKTINFO;
    control.head.cmsg_len = CMSG_LEN(size);
    if (four) memcpy(value + offsetof(struct in_pktinfo, ipi_spec_dst), to->local + 12, 4);
    else memcpy(value + offsetof(struct in6_pktinfo, ipi6_addr), to->local, 16);
    return sendmsg(from->udp, &m, NO_WAIT) >= 0;
}

/* From now on the socket cuts what it sends into datagrams of so many bytes; 0: no longer. */
static int udp_cut(socket_t s, int bytes)
{
    return setsockopt(s, IPPROTO_UDP, UDP_SEGMENT, &bytes, sizeof bytes) == 0;
}
#else
/* One datagram for each call; which of the machine's addresses it leaves from, the system decides.
   If a machine has several, name each with -l. */
#define TELLS_LOCAL 0
static void udp_learn_local(socket_t s, int family) { (void)s, (void)family; }
static int udp_cut(socket_t s, int bytes) { return (void)s, (void)bytes, 0; }
#endif

/* The bytes of one datagram, or -1. Of one that is longer than the buffer, as many as fit, or -1:
   that is the system's choice. */
static int udp_receive(const pair *at, uint8_t *p, size_t len, int flags, ocm_addr *from)
{
    struct sockaddr_storage ss;
    socklen ss_len = sizeof ss;
    int n;
#if TELLS_LOCAL
    if (at->everywhere) return udp_receive_local(at->udp, p, len, flags, from);
#endif
    n = (int)recvfrom(at->udp, (char *)p, (socklen)len, flags, (struct sockaddr *)&ss, &ss_len);
    if (n >= 0) *from = addr_of(&ss);
    return n;
}

/* Sends from the address to->local, if that is known. It never waits. 1 if the system took it. */
static int udp_send(const pair *from, const ocm_addr *to, const uint8_t *p, size_t len)
{
    socket_addr sa;
    socklen sa_len;
#if TELLS_LOCAL
    static const uint8_t unknown[16] = {0};
    if (memcmp(to->local, unknown, 16) != 0) return udp_send_from(from, to, p, len);
#endif
    sa_len = addr_to(to, from->family, &sa);
    return sendto(from->udp, (const char *)p, (socklen)len, NO_WAIT, &sa.any, sa_len) >= 0;
}

/* ==== State ================================================================================= */

#define PAIRS_MAX 16      /* listeners */
#define CONNS_MAX 900     /* TCP connections: with all else below FD_SETSIZE everywhere */
#define READ_MAX 64       /* datagrams read from a socket in a turn */
#define FED_MAX 40        /* messages after which it is enough: a room takes 64, see ocm.h */
#define ACCEPT_MAX 32     /* connections taken from a listener in a turn */
#define SERVE_MAX 4       /* connections served in a turn */
#define ANSWER_BYTES 8192 /* of answers after which a turn serves no more connections */
#define DELIVER_MAX 256   /* datagrams sent in a turn: then it is the inputs' turn again */
#define GATHER_MAX 32     /* datagrams that leave in one call */
#define SEND_NAPS 10      /* of 1 ms in a turn, for full send buffers */
#define LOOK_MS 10        /* while datagrams come, select() is called this often, see turn() */
#define SLEEP_MS 500      /* longest wait: a signal that comes just before it is seen after it */
#define PAUSE_MS 600      /* a longer turn means that the machine or the process stood still */
#define SLOTS_MAX (SIZE_MAX > UINT32_MAX ? 100000000u : 500000u) /* rooms or members */
#define LOG_LINES 200     /* log lines in a second, apart from errors */

typedef struct connection {
    socket_t s;
    ocm_conn *state;
    ocm_io io; /* what it wants */
    ocm_addr from;
    int origin;      /* see origin_of() */
    uint64_t active; /* ms: when something came last */
} connection;

static pair pairs[PAIRS_MAX];
static int pair_count;
static ocm_conn conn_states[CONNS_MAX + 1];
static connection conns[CONNS_MAX + 1]; /* the first conn_count are open, in no order */
static int conn_count;
static int held[1 + 65536] = {1}; /* connections, by origin; loopback counts as one */
static uint64_t origin_key;       /* so nobody can choose an origin that shares another's count */
static ocm_limits limits;         /* zero: the default */
static ocm_registry *registry;
static const ocm_counts *counts; /* the registry's */

static struct { /* datagrams to one address that are to leave in one call */
    int count;
    size_t len;
    ocm_event event[GATHER_MAX];
    uint8_t bytes[GATHER_MAX * OCM_BATCH_MAX];
} gathered;

static uint64_t now;            /* ms: the time of this turn, without pauses */
static uint64_t registry_until; /* ms: when the registry has more to do, or to send */
static int send_naps;           /* what is left of SEND_NAPS in this turn */
static int no_place;            /* for a connection, in this second */
static int answered;            /* bytes sent to connections in this turn */
static int worked;              /* in this turn some connection got on */

/* ==== Log =================================================================================== */

static int loudness = 1;       /* 0 errors only, 1 what happens in rooms, 2 connections, refusals */
static int log_lines;          /* in this second, apart from errors */
static unsigned long log_lost; /* lines */

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

/* One line on stderr, with the time and, if not NULL, the address that it is about. Never the text
   of a message. Names stand between tabs, which no name has, or it could go on with the words of
   another line. Lines that are no errors (level 0) are limited by the second: anyone can cause
   them by joining and leaving. */
static void say(const ocm_addr *whom, int level, const char *format, ...)
{
    char line[PIPE_BUF];
    size_t len;
    time_t t = time(NULL);
    va_list args;
    if (level > loudness) return;
    len = strftime(line, 32, "%Y-%m-%d %H:%M:%S ", localtime(&t));
    if (whom)
        len += (size_t)snprintf(line + len, 100, "%s port %u: ", addr_ip(whom), whom->port + 0u);
    va_start(args, format);
    vsnprintf(line + len, sizeof line - len - 1, format, args);
    va_end(args);
    len = strlen(line);
    line[len++] = '\n';
    if ((level > 0 && ++log_lines > LOG_LINES) || !log_write(line, len)) log_lost++;
}

/* Says once a second what would be too much to say each time. */
static void sum_up(void)
{
    static uint64_t last;
    static unsigned long told;
    if (now - last < 1000 && !stopping) return;
    last = now;
    log_lines = 0;
    if (told != log_lost) {
        told = log_lost; /* if this line is dropped, it is one more, and told in a second */
        say(NULL, 0, "%lu log lines were dropped so far: stderr did not take them, or there were "
            "more than %d in a second", told, LOG_LINES);
    }
    if (no_place)
        say(NULL, 0, "cannot take a connection: no memory is left, or no descriptor that select() "
            "can watch (see ulimit -n)");
    no_place = 0;
}

/* ==== Listening ============================================================================= */

/* Lets an IPv6 socket hear IPv4, too. 1 if the system can do that. */
static int hear_ipv4(socket_t s)
{
    int off = 0;
    return setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, (const char *)&off, sizeof off) == 0;
}

/* A socket of TCP or UDP that is bound to an address; at->port becomes its port. */
static socket_t open_socket(const char *host, ocm_addr *at, int family, int type)
{
    int on = 1, tcp = type == SOCK_STREAM;
    socket_addr sa;
    socklen len = addr_to(at, family, &sa);
    socket_t s = socket(family, type, 0);
    unsigned port = at->port;
    int good = socket_fits(s);
    if (good && tcp) setsockopt(s, SOL_SOCKET, LISTEN_ALONE, (const char *)&on, sizeof on);
    if (good && family == AF_INET6) hear_ipv4(s);
    if (!good || bind(s, &sa.any, len) != 0 ||
        !(tcp ? socket_nonblocking(s) && listen(s, SOMAXCONN) == 0 : udp_mode(s)) ||
        (at->port = addr_local(s).port) == 0)
        die(1, "cannot listen on %s, %s port %u: %s; choose another with -l", host,
            tcp ? "TCP" : "UDP", port, socket_words(socket_error()));
    return s;
}

/* arg: [HOST/]TCP:UDP. Without a host: all addresses, IPv4 and IPv6; IPv4 alone where no socket
   hears both. */
static void open_listener(const char *arg)
{
    static const uint8_t zeros[4] = {0};
    const char *slash = strrchr(arg, '/');
    char host[256] = "::", more;
    unsigned tcp_port, udp_port;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    struct sockaddr_storage ss;
    pair *p = &pairs[pair_count];
    if (pair_count == PAIRS_MAX) die(2, "-l %s: at most %d listeners", arg, PAIRS_MAX);
    if (slash) {
        int brackets = *arg == '[' && slash[-1] == ']'; /* as in a URL */
        snprintf(host, sizeof host, "%.*s", (int)(slash - arg) - 2 * brackets, arg + brackets);
    } else {
        socket_t probe = socket(AF_INET6, SOCK_STREAM, 0);
        if (!hear_ipv4(probe)) strcpy(host, "0.0.0.0");
        socket_close(probe);
    }
    if (sscanf(slash ? slash + 1 : arg, "%5u:%5u%c", &tcp_port, &udp_port, &more) != 2 ||
        !host[0] || tcp_port > 65535 || udp_port > 65535)
        die(2, "-l %s: write [HOST/]TCP:UDP, both ports from 0 to 65535, for example "
            "-l 127.0.0.1/8000:9000", arg);
    if (getaddrinfo(host, NULL, &hints, &list) != 0 || !list)
        die(1, "cannot find the address \"%s\" to listen on; give one of this machine with -l",
            host);
    memcpy(&ss, list->ai_addr, (size_t)list->ai_addrlen);
    freeaddrinfo(list);
    p->at = addr_of(&ss);
    p->at.port = (uint16_t)tcp_port;
    p->family = ss.ss_family;
    p->everywhere = memcmp(p->at.ip + 12, zeros, 4) == 0;
    p->tcp = open_socket(host, &p->at, p->family, SOCK_STREAM);
    tcp_port = p->at.port;
    p->at.port = (uint16_t)udp_port;
    p->udp = open_socket(host, &p->at, p->family, SOCK_DGRAM);
    if (p->everywhere) udp_learn_local(p->udp, p->family);
    pair_count++;
    printf("listening on %s/%u:%u\n", host, tcp_port, (unsigned)p->at.port);
}

/* ==== UDP =================================================================================== */

/* 0 if it cannot be sent. What finds only full buffers is dropped, as a network would. */
static int send_bytes(const ocm_addr *to, const uint8_t *p, size_t len)
{
    while (!udp_send(&pairs[to->socket], to, p, len)) {
        if (!socket_full(socket_error())) return 0;
        if (send_naps == 0) return 1;
        send_naps--;
        nap(1);
    }
    return 1;
}

static void send_event(const ocm_event *ev, const uint8_t *p)
{
    if (send_bytes(&ev->to, p, ev->datagram.len)) return;
    say(&ev->to, 2, "cannot send there: %s", socket_words(socket_error()));
    ocm_registry_failed(registry, ev, now);
}

/* Sends what is gathered: in one call, or one by one if the system or the way cannot do that. */
static void send_gathered(void)
{
    const ocm_event *ev = gathered.event;
    const uint8_t *p = gathered.bytes;
    socket_t s = pairs[ev->to.socket].udp;
    if (gathered.count > 1 && udp_cut(s, OCM_BATCH_MAX)) {
        if (send_bytes(&ev->to, p, gathered.len)) gathered.count = 0;
        udp_cut(s, 0);
    }
    for (; gathered.count > 0; gathered.count--, p += ev++->datagram.len) send_event(ev, p);
    gathered.len = 0;
}

/* Sends what the registry has to send, a portion of it. Full batches to one address leave
   together, with a shorter one that ends them. */
static void deliver(void)
{
    static const char *const why[] = {
        "", "left", "the host is gone, and the room with it", "timed out", "cannot be reached",
        "the server stops"};
    ocm_event ev;
    int n;
    send_naps = SEND_NAPS;
    for (n = 0; n < DELIVER_MAX && ocm_registry_next(registry, now, &ev); n++) {
        if (ev.reason)
            say(NULL, 1, "out\t%.*s\t%.*s\t%s", OCM_S(ev.room), OCM_S(ev.name), why[ev.reason]);
        if (gathered.count > 0 && (ev.datagram.len > OCM_BATCH_MAX ||
                                   memcmp(&ev.to, &gathered.event[0].to, sizeof ev.to) != 0))
            send_gathered();
        if (gathered.count == 0 && ev.datagram.len != OCM_BATCH_MAX) {
            send_event(&ev, ev.datagram.ptr);
            continue;
        }
        memcpy(gathered.bytes + gathered.len, ev.datagram.ptr, ev.datagram.len);
        gathered.len += ev.datagram.len;
        gathered.event[gathered.count++] = ev;
        if (ev.datagram.len != OCM_BATCH_MAX || gathered.count == GATHER_MAX) send_gathered();
    }
    send_gathered();
    registry_until = n < DELIVER_MAX ? ev.until : now;
}

/* A datagram from one of our own UDP sockets would go in circles. It has the port of one, and it
   counts only if it comes from the host of the member to whom it went: that is where it arrived. If
   the system does not tell where that was, the port decides. */
static int from_ourselves(const ocm_addr *from)
{
    const pair *p = &pairs[from->socket];
    ocm_addr here = *from;
    int i = 0;
    while (i < pair_count && pairs[i].at.port != from->port) i++;
    if (!p->everywhere) memcpy(here.ip, p->at.ip, 16);
    else if (TELLS_LOCAL) memcpy(here.ip, from->local, 16);
    return i < pair_count && ocm_same_host(from, &here);
}

/* Reads the clock; a wait has just ended. A time in which the machine or the process stood still
   hardly counts: the keep-alives that came meanwhile lie unread. */
static void tick(void)
{
    static uint64_t last;
    uint64_t t = clock_ms();
    now += t - last < PAUSE_MS ? t - last : PAUSE_MS;
    last = t;
}

/* Reads at most so many datagrams, and returns how many they were. Without NO_WAIT in flags it
   waits a moment for the first. */
static int read_datagrams(int which, int flags, int most)
{
    uint64_t enough = counts->messages + (uint64_t)(FED_MAX / pair_count);
    uint8_t buf[OCM_DATAGRAM_MAX + 1];
    ocm_addr from;
    int n;
    for (n = 0; n < most && counts->messages < enough; n++) {
        int len = udp_receive(&pairs[which], buf, sizeof buf, flags, &from);
        if (n == 0) tick();
        flags = NO_WAIT;
        if (len < 0) break; /* there is none, or an earlier one of ours reached nobody */
        from.socket = (uint16_t)which;
        if (!from_ourselves(&from)) ocm_registry_datagram(registry, buf, (size_t)len, &from, now);
    }
    return n;
}

/* ==== TCP =================================================================================== */

/* A number for connections that share one limit, those of one IPv4 address or of one IPv6 /64. Two
   origins hardly ever have the same. 0 for loopback, which has no limit. */
static int origin_of(const ocm_addr *a)
{
    static const ocm_addr loopback = {.ip = {[15] = 1}};
    uint64_t half[2];
    memcpy(half, a->ip, sizeof half);
    if (ocm_same_host(a, &loopback)) return 0;
    return 1 + (int)((half[0] ? half[0] : half[1]) * (origin_key | 1) >> 48); /* multiply-shift */
}

/* Afterwards another connection, or none, is in this place. */
static void conn_close(connection *c, const char *why)
{
    connection gone = *c;
    say(&c->from, 2, "connection closed: %s", why);
    ocm_conn_close(c->state, registry, now);
    socket_close(c->s);
    held[c->origin] -= c->origin > 0;
    *c = conns[--conn_count];
    conns[conn_count] = gone;
    worked = 1;
}

/* Closes a connection for one that is new: the longest silent one of the origin that holds most.
   So strangers who only sit there keep nobody out. */
static void conn_evict(void)
{
    connection *worst = conns, *c;
    for (c = conns; c < conns + conn_count; c++) {
        int more = held[c->origin] - held[worst->origin];
        if (more > 0 || (more == 0 && c->active < worst->active)) worst = c;
    }
    if (conn_count > 0) conn_close(worst, "a new one needs its place");
}

/* Reads what came, and does what the connection wants done: it answers at most one request, or
   sends once. */
static void conn_work(connection *c, int readable)
{
    static const char *const words[] = {"request", "create", "join", "list"};
    uint8_t buf[OCM_FRAME_MAX];
    ocm_io *io = &c->io;
    int n = readable ? (int)recv(c->s, (char *)buf, io->read, 0) : 0;
    if (readable && (n >= 0 || !socket_full(socket_error()))) {
        worked = 1;
        c->active = now;
        ocm_conn_received(c->state, buf, n > 0 ? (size_t)n : 0, now); /* an error is an end, too */
    }
    ocm_conn_next(c->state, registry, now, io);
    if (io->status)
        say(&c->from, io->op != OCM_LIST && io->status < 300 ? 1 : 2,
            "%s\t%.*s\t%.*s\t%d", words[io->op >= 1 && io->op <= 3 ? io->op : 0],
            OCM_S(io->room), OCM_S(io->name), io->status);
    if (io->shut) shutdown(c->s, SHUT_WR);
    if (io->close) {
        conn_close(c, "it is over");
    } else if (io->send.len) {
        n = (int)send(c->s, (const char *)io->send.ptr, io->send.len, 0);
        if (n < 0 && !socket_full(socket_error())) conn_close(c, socket_words(socket_error()));
        if (n < 0) return;
        worked = 1;
        answered += n;
        ocm_conn_sent(c->state, (size_t)n);
        io->until = now; /* what comes after that is for the next turn */
    }
}

/* Takes a connection; 0 if that is not possible. */
static int conn_accept(int which)
{
    struct sockaddr_storage ss;
    socklen len = sizeof ss;
    socket_t s = accept(pairs[which].tcp, (struct sockaddr *)&ss, &len);
    connection *c = &conns[conn_count];
    ocm_addr local;
    if (s == INVALID_SOCKET && !no_more_sockets(socket_error())) return 0;
    if (!socket_fits(s) || !socket_nonblocking(s)) {
        no_place = 1;
        socket_close(s); /* if there is none, that does no harm */
        conn_evict();    /* for the next one, which gets its descriptor */
        return 0;
    }
    worked = 1;
    c->s = s;
    c->active = now;
    c->from = addr_of(&ss);
    c->from.socket = (uint16_t)which;
    local = addr_local(s);
    if (pairs[which].everywhere) memcpy(c->from.local, local.ip, 16);
    c->origin = origin_of(&c->from);
    held[c->origin] += c->origin > 0;
    conn_count++;
    say(&c->from, 2, "connected");
    ocm_conn_open(c->state, &c->from, now);
    conn_work(c, 0);
    if (conn_count > CONNS_MAX || held[c->origin] > CONNS_MAX / 4) conn_evict();
    return 1;
}

/* Serves the next connections that have something to do, a few in a turn, and fewer if they are
   sent much: the chat is not to wait for many lists. Returns how many they were. */
static int serve_conns(const fd_set *reads, const fd_set *writes)
{
    static int next;
    int left, served = 0;
    answered = 0;
    for (left = conn_count; left > 0 && conn_count > 0; left--) {
        connection *c = &conns[next = (next + 1) % conn_count];
        int readable = c->io.read && FD_ISSET(c->s, reads);
        if (!readable && !(c->io.send.len && FD_ISSET(c->s, writes)) && now < c->io.until) continue;
        conn_work(c, readable);
        if (++served == SERVE_MAX || answered >= ANSWER_BYTES) break;
    }
    return served;
}

/* ==== Loop ================================================================================== */

/* Waits until something happens on a socket or time has run out. Returns what select() says. */
static int wait_for_events(fd_set *readable, fd_set *writable)
{
    uint64_t until = now + SLEEP_MS < registry_until ? now + SLEEP_MS : registry_until;
    struct timeval t = {0, 0};
    int i, n;
    FD_ZERO(readable);
    FD_ZERO(writable);
    for (i = 0; i < pair_count; i++) {
        FD_SET(pairs[i].udp, readable);
        FD_SET(pairs[i].tcp, readable);
    }
    for (i = 0; i < conn_count; i++) {
        const connection *c = &conns[i];
        if (c->io.read) FD_SET(c->s, readable);
        if (c->io.send.len) FD_SET(c->s, writable);
        if (c->io.until < until) until = c->io.until;
    }
    if (until > now) t.tv_usec = (int)(until - now) * 1000;
    n = select(FD_SETSIZE, readable, writable, NULL, &t);
    tick();
    return n;
}

/* One turn: wait, read, let time pass, send. While a single UDP socket is all that is busy, it is
   read without select(), which waits as well and saves a call for each datagram. The other sockets
   are looked at every 10 ms, and later if there are many, as select() takes 60 to 400 ns for each:
   a request can wait a millisecond for every 16 of them, and a message need not pay for them. While
   connections have something to do, they are looked at every millisecond.

   What has come together is read together, and leaves together. But to ask whether there is more
   costs a call, too, which is 5 % in rooms of two. So after a turn that sent no more than two
   datagrams, where hardly anything can be saved, only one is read. */
static void turn(void)
{
    static uint64_t look_at; /* ms: when select() is due */
    static int busy;         /* the last turn read datagrams, or left some undelivered */
    static uint64_t sent;    /* datagrams, in the last turn */
    fd_set readable, writable;
    int due = registry_until <= now, i, n = 0;
    worked = 0;
    if (busy && pair_count == 1 && now < look_at && (WAITS_IN_READ || due)) {
        busy = read_datagrams(0, due ? NO_WAIT : 0, sent > 2 ? READ_MAX : 1);
    } else if ((n = wait_for_events(&readable, &writable)) >= 0) { /* else a signal */
        look_at = now + LOOK_MS + (uint64_t)conn_count / 16;
        if (serve_conns(&readable, &writable)) look_at = now + 1;
        busy = 0;
        for (i = 0; i < pair_count; i++) {
            int most = FD_ISSET(pairs[i].tcp, &readable) ? ACCEPT_MAX : 0;
            while (most-- > 0 && conn_accept(i)) look_at = now + 1;
            if (FD_ISSET(pairs[i].udp, &readable)) busy += read_datagrams(i, NO_WAIT, READ_MAX);
        }
    }
    if (n < 0 || (n > 0 && !busy && !worked)) nap(1); /* a call fails again and again */
    sent = counts->events;
    deliver();
    sent = counts->events - sent;
    busy += registry_until <= now;
    sum_up();
}

/* ==== Main ================================================================================== */

typedef struct option {
    char letter;
    const char *value, *help;
    uint32_t *limit; /* NULL: it is no number; of a number 0 means that there is no limit */
    uint32_t least, most;
} option;

static const option options[] = {
    {'l', "[HOST/]TCP:UDP", "listen there; may be given several times (8000:9000)", NULL, 0, 0},
    {'R', "ROOMS", "at once (1000)", &limits.rooms, 1, SLOTS_MAX},
    {'M', "MEMBERS", "at once (10000)", &limits.members, 1, SLOTS_MAX},
    {'S', "MEMBERS", "of one room (1000, 0: no limit)", &limits.room_size, 0, SLOTS_MAX},
    {'H', "MEMBERS", "from one address, of IPv6 from one /64, and as large a share of\n"
     "                     the rooms; this machine's are not limited (a quarter of -M,\n"
     "                     0: no limit)", &limits.origin_size, 0, SLOTS_MAX},
    {'G', "KIB", "that hold the last messages of all rooms (4096)", &limits.log, 64, 1048576},
    {'i', "SECONDS", "of silence that end a membership (300)", &limits.idle, 1, 86400 * 365},
    {'r', "MESSAGES", "a second that a member may send, in bursts of twice as many\n"
     "                     (50, 0: no limit)", &limits.rate, 0, 1000000},
    {'q', "", "log errors only", NULL, 0, 0},
    {'v', "", "log connections and refusals, too", NULL, 0, 0},
    {'h', "", "print this", NULL, 0, 0},
    {'V', "", "print the version", NULL, 0, 0},
    {0, NULL, NULL, NULL, 0, 0}};

/* All but the values of -l, which are used once all options are known to be right. */
static void read_options(int argc, char **argv)
{
    int i;
    for (i = 1; i < argc; i++) {
        const char *arg = argv[i];
        const option *o = options;
        unsigned long n;
        if (strcmp(arg, "--help") == 0) arg = "-h";
        if (strcmp(arg, "--version") == 0) arg = "-V";
        while (o->letter && (arg[0] != '-' || arg[1] != o->letter || arg[2])) o++;
        if (!o->letter) die(2, "unknown argument \"%s\"; see server -h", arg);
        if (o->letter == 'q') loudness = 0;
        if (o->letter == 'v') loudness = 2;
        if (o->letter == 'V') exit(printf("server %s\n", OCM_VERSION) < 0);
        if (o->letter == 'h') {
            puts("usage: server [OPTION]...      (in parentheses: the default)");
            for (o = options; o->letter; o++)
                printf("  -%c %-14s  %s\n", o->letter, o->value, o->help);
            exit(0);
        }
        if (!o->value[0]) continue;
        if (++i == argc) die(2, "-%c needs a value; see server -h", o->letter);
        if (!o->limit) continue;
        n = strtoul(argv[i], NULL, 10);
        if (!argv[i][0] || argv[i][strspn(argv[i], "0123456789")] || n < o->least || n > o->most)
            die(2, "-%c %s: give a number from %lu to %lu", o->letter, argv[i],
                (unsigned long)o->least, (unsigned long)o->most);
        *o->limit = n ? (uint32_t)n : OCM_UNLIMITED;
    }
    limits.log *= 1024;
}

/* Tells every member, and says what was done. */
static void stop(void)
{
    ocm_registry_stop(registry);
    do deliver();
    while (registry_until <= now);
    sum_up();
    say(NULL, 1,
        "stopped: %.0f requests (%.0f refused), %.0f datagrams in (%.0f dropped), "
        "%.0f messages (%.0f refused), %.0f datagrams out",
        (double)counts->requests, (double)counts->refused, (double)counts->datagrams,
        (double)counts->dropped, (double)counts->messages, (double)counts->rejected,
        (double)counts->events);
}

int main(int argc, char **argv)
{
    uint8_t seed[32];
    void *mem;
    int i;
    read_options(argc, argv);
    if (!platform_start()) die(1, "the system gives no sockets, or there is no /dev/null");
    mem = malloc(ocm_registry_size(&limits));
    if (!mem) die(1, "no memory for so many rooms and members; ask for fewer with -R and -M");
    if (!entropy(seed, sizeof seed) || !entropy((uint8_t *)&origin_key, sizeof origin_key))
        die(1, "the system gives no random bytes for the tokens");
    registry = ocm_registry_init(mem, &limits, seed);
    counts = ocm_registry_counts(registry);
    for (i = 0; i <= CONNS_MAX; i++) conns[i].state = &conn_states[i];
    signal(SIGINT, on_signal); /* before anyone can know that it runs */
    signal(SIGTERM, on_signal);
    for (i = 1; i < argc; i++)
        if (strcmp(argv[i], "-l") == 0) open_listener(argv[++i]);
    if (pair_count == 0) open_listener("8000:9000");
    fflush(stdout);
    tick();
    while (!stopping) turn();
    stop();
    return 0;
}
