/* server.c - a chat server: one select() loop around ocm.h

   cc -o server server.c              (Windows: gcc -o server server.c -lws2_32)
   ./server                           listens on all addresses, TCP port 8000 and UDP port 9000
   ./server -l 127.0.0.1/0:0          on free ports of this machine alone; the line on stdout says which
   ./server -h                        all options

   Everything that is decided about rooms, members and messages is decided in ocm.h. Here bytes are moved between sockets
   and the registry, and here is what the registry does not know: descriptors, time, and how long one waits. */

/* ---- Platform: every #ifdef of this file. client.c has a block of the same kind: each program is one file that a reader
   can take away, and ocm.h is to know nothing of sockets. ---- */

#ifdef _WIN32
#define FD_SETSIZE 1100 /* on Windows a program says itself how many sockets a set holds */
#define _CRT_RAND_S
#define _WIN32_WINNT 0x0600
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>
#ifdef _MSC_VER
#pragma comment(lib, "ws2_32")
#endif
typedef SOCKET socket_t;
typedef int socklen;
#else
#define _GNU_SOURCE /* accept4 */
#define _DEFAULT_SOURCE
#define _DARWIN_C_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#ifdef __linux__
#include <netinet/udp.h>
#endif
typedef int socket_t;
typedef socklen_t socklen;
#define INVALID_SOCKET (-1)
#endif

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define OCM_IMPLEMENTATION
#include "ocm.h"

#define TEMPO_MS 10 /* while datagrams come, the listeners are looked at this often, and few connections; many cost select() up to 400 ns each */
static volatile sig_atomic_t ticked; /* TEMPO_MS have passed */

#ifdef _WIN32
static void socket_close(socket_t s) { closesocket(s); }
static void socket_shut(socket_t s) { shutdown(s, SD_SEND); }
static int socket_error(void) { return WSAGetLastError(); }
static int socket_full(int e) { return e == WSAEWOULDBLOCK || e == WSAENOBUFS || e == WSAEINTR; }
static int socket_cut(int e) { return e == WSAEMSGSIZE; } /* the datagram is longer than the buffer, which is full */
static int socket_no_more(int e) { return e == WSAEMFILE; }
static int socket_fits(socket_t s) { return s != INVALID_SOCKET; }
static int socket_nonblocking(socket_t s)
{
    u_long on = 1;
    return ioctlsocket(s, FIONBIO, &on) == 0;
}

static socket_t socket_accept(socket_t listener, struct sockaddr_storage *from, socklen *len)
{
    socket_t s = accept(listener, (struct sockaddr *)from, len);
    if (s != INVALID_SOCKET) socket_nonblocking(s);
    return s;
}

static const char *socket_words(int e)
{
    static char words[256];
    DWORD n = FormatMessageA(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL, (DWORD)e, 0, words, sizeof words, NULL);
    while (n > 0 && (unsigned char)words[n - 1] <= ' ') words[--n] = 0;
    return words;
}

static int socket_udp_mode(socket_t s) { return socket_nonblocking(s); }
#define WAITS_IN_READ 0 /* there is no flag to read without waiting from a socket that waits */
#define NO_WAIT 0
static void tempo(int on) { (void)on; }

static int socket_send_to(socket_t s, const uint8_t *p, size_t n, const struct sockaddr *to, socklen len)
{
    return sendto(s, (const char *)p, (int)n, 0, to, len) >= 0;
}

static uint32_t train_max(void) { return 1; } /* one datagram, one call */
static int socket_send_train(socket_t s, const uint8_t *p, size_t n, size_t each, const struct sockaddr *to, socklen len)
{
    return (void)s, (void)p, (void)n, (void)each, (void)to, (void)len, 0;
}

static int socket_send(socket_t s, const uint8_t *p, size_t len) { return send(s, (const char *)p, (int)len, 0); }
static int socket_receive(socket_t s, uint8_t *p, size_t len) { return recv(s, (char *)p, (int)len, 0); }
static uint64_t clock_ms(void) { return GetTickCount64(); }

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

static int platform_start(void)
{
    WSADATA data;
    return WSAStartup(MAKEWORD(2, 2), &data) == 0;
}

#define LISTEN_ALONE SO_EXCLUSIVEADDRUSE /* else another program could take the port over */
#else
static void socket_close(socket_t s) { close(s); }
static void socket_shut(socket_t s) { shutdown(s, SHUT_WR); }
static int socket_error(void) { return errno; }
static int socket_full(int e) { return e == EAGAIN || e == EWOULDBLOCK || e == ENOBUFS || e == EINTR; }
static int socket_cut(int e) { return (void)e, 0; } /* POSIX hands over what fits */
static int socket_no_more(int e) { return e == EMFILE || e == ENFILE; }
static int socket_fits(socket_t s) { return s < FD_SETSIZE; } /* beyond it select() would write outside its set */
static const char *socket_words(int e) { return strerror(e); }
static int socket_nonblocking(socket_t s) { return fcntl(s, F_SETFL, O_NONBLOCK) == 0; }

static socket_t socket_accept(socket_t listener, struct sockaddr_storage *from, socklen *len)
{
#ifdef __linux__
    return accept4(listener, (struct sockaddr *)from, len, SOCK_NONBLOCK);
#else
    socket_t s = accept(listener, (struct sockaddr *)from, len);
    if (s >= 0) socket_nonblocking(s);
    return s;
#endif
}

/* A UDP socket waits in recvfrom(), unless NO_WAIT is given: while datagrams come, that saves the select() before each. Its buffers stay
   as the system makes them: they hold a few milliseconds of work, and larger ones would turn overload into delay. */
#define WAITS_IN_READ 1
#define NO_WAIT MSG_DONTWAIT
static int socket_udp_mode(socket_t s) { return s >= 0; }

static void on_tick(int sig)
{
    (void)sig;
    ticked = 1;
}

/* While it is on, a signal ends the wait in recvfrom() every TEMPO_MS. A timeout of the socket itself would be set up and taken down with
   each datagram, which costs a thirtieth of a relay. */
static void tempo(int on)
{
    struct itimerval every;
    memset(&every, 0, sizeof every);
    if (on) every.it_interval.tv_usec = every.it_value.tv_usec = TEMPO_MS * 1000;
    setitimer(ITIMER_REAL, &every, NULL);
}

static int socket_send_to(socket_t s, const uint8_t *p, size_t n, const struct sockaddr *to, socklen len)
{
    return sendto(s, p, n, NO_WAIT, to, len) >= 0;
}

/* Several datagrams of `each` bytes (the last may be shorter) in one call. 0 when the way there cannot do that. */
#ifdef UDP_SEGMENT
/* A kernel that knows nothing of it (before 4.18) would send them all as one. */
static uint32_t train_max(void)
{
    int s = socket(AF_INET, SOCK_DGRAM, 0), none = 0, known;
    known = s >= 0 && setsockopt(s, IPPROTO_UDP, UDP_SEGMENT, &none, sizeof none) == 0;
    if (s >= 0) close(s);
    return known ? 32 : 1;
}

static int socket_send_train(socket_t s, const uint8_t *p, size_t n, size_t each, const struct sockaddr *to, socklen len)
{
    union { struct cmsghdr head; char bytes[CMSG_SPACE(sizeof(uint16_t))]; } control;
    uint16_t segment = (uint16_t)each;
    struct iovec part;
    struct msghdr m;
    part.iov_base = (void *)(uintptr_t)p;
    part.iov_len = n;
    memset(&m, 0, sizeof m);
    memset(&control, 0, sizeof control);
    m.msg_name = (void *)(uintptr_t)to;
    m.msg_namelen = len;
    m.msg_iov = &part;
    m.msg_iovlen = 1;
    m.msg_control = &control;
    m.msg_controllen = sizeof control.bytes;
    control.head.cmsg_level = IPPROTO_UDP;
    control.head.cmsg_type = UDP_SEGMENT;
    control.head.cmsg_len = CMSG_LEN(sizeof segment);
    memcpy(CMSG_DATA(&control.head), &segment, sizeof segment);
    return sendmsg(s, &m, NO_WAIT) >= 0;
}
#else
static uint32_t train_max(void) { return 1; }
static int socket_send_train(socket_t s, const uint8_t *p, size_t n, size_t each, const struct sockaddr *to, socklen len)
{
    return (void)s, (void)p, (void)n, (void)each, (void)to, (void)len, 0;
}
#endif

static int socket_send(socket_t s, const uint8_t *p, size_t len) { return (int)send(s, p, len, 0); }
static int socket_receive(socket_t s, uint8_t *p, size_t len) { return (int)recv(s, p, len, 0); }

static uint64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int entropy(uint8_t *p, size_t len) /* at most 256 bytes; read ahead, as a call for each token would cost more than the token */
{
    static int fd = -1;
    static uint8_t ahead[256];
    static size_t left;
    if (fd < 0) fd = open("/dev/urandom", O_RDONLY);
    if (left < len && (fd < 0 || read(fd, ahead, sizeof ahead) != (ssize_t)sizeof ahead)) return 0;
    if (left < len) left = sizeof ahead;
    left -= len;
    memcpy(p, ahead + left, len);
    memset(ahead + left, 0, len); /* a token is nowhere but with its member */
    return 1;
}

/* A client that is gone is an error of send(); a tick comes through, whatever the parent process has blocked. */
static int platform_start(void)
{
    struct sigaction tick;
    sigset_t alarm;
    memset(&tick, 0, sizeof tick);
    tick.sa_handler = on_tick; /* without SA_RESTART: the wait is to end */
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    return signal(SIGPIPE, SIG_IGN) != SIG_ERR && sigaction(SIGALRM, &tick, NULL) == 0 && sigprocmask(SIG_UNBLOCK, &alarm, NULL) == 0;
}

#define LISTEN_ALONE SO_REUSEADDR /* a server that was just stopped must not keep the port from its successor */
#endif

/* ---- State ---- */

#define PAIRS_MAX 16   /* listeners */
#define CLIENTS_MAX 900 /* TCP connections at once: with the listeners below FD_SETSIZE everywhere */
#define TURN_MAX 64     /* datagrams read, or connections accepted, at one socket before the others have their turn */
#define WAIT_MS 1000    /* longest sleep: a signal that comes just before select() is seen after it */

typedef struct pair { /* a TCP listener and the UDP socket beside it */
    socket_t tcp, udp;
    int family;
    uint16_t udp_port;
} pair;

typedef struct client_buffers {
    uint8_t in[OCM_FRAME_MAX], out[OCM_ANSWER_MAX];
} client_buffers;

typedef struct client { /* one TCP connection */
    socket_t s;
    int success, lingers, in;
    ocm_addr from;
    uint64_t deadline, active; /* ms: closed at; last time something came */
    uint64_t later;            /* ms: when the bytes after `first` may go */
    size_t in_len, out_at, out_first, out_len;
    int shut;                  /* shut the sending side once out is sent */
    uint8_t token[OCM_TOKEN_LEN];
    client_buffers *buf; /* apart, so that looking at many connections touches little memory */
} client;

static pair pairs[PAIRS_MAX];
static int pair_count;
static client clients[CLIENTS_MAX]; /* the first client_count are connected, in no order; the others may have buffers */
static int client_count;
static int flowing;        /* datagrams come: wait for the next in recvfrom() */
static uint64_t tcp_turn;  /* ms: when TCP is to be looked at again */
static ocm_registry *registry;
static uint64_t now;
static int loudness = 1; /* 0 errors only, 1 what happens in rooms, 2 connections and refusals too */
static volatile sig_atomic_t stopping;

static void on_signal(int sig)
{
    (void)sig;
    stopping = 1;
}

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

/* ---- Addresses ---- */

static ocm_addr addr_of(const struct sockaddr_storage *ss, int socket)
{
    ocm_addr a;
    memset(&a, 0, sizeof a);
    a.socket = (uint16_t)socket;
    if (ss->ss_family == AF_INET) {
        struct sockaddr_in in4;
        memcpy(&in4, ss, sizeof in4);
        a.ip[10] = a.ip[11] = 0xFF;
        memcpy(a.ip + 12, &in4.sin_addr, 4);
        a.port = ntohs(in4.sin_port);
    } else {
        struct sockaddr_in6 in6;
        memcpy(&in6, ss, sizeof in6);
        memcpy(a.ip, &in6.sin6_addr, 16);
        a.port = ntohs(in6.sin6_port);
        if (a.ip[0] == 0xFE && (a.ip[1] & 0xC0) == 0x80) a.scope = in6.sin6_scope_id;
    }
    return a;
}

typedef union socket_addr {
    struct sockaddr any;
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
} socket_addr;

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

/* An address for people. The text is valid until the next call. */
static const char *addr_text(const ocm_addr *a)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    static char text[80];
    char ip[INET6_ADDRSTRLEN] = "?";
    int four = memcmp(a->ip, mapped, 12) == 0;
    inet_ntop(four ? AF_INET : AF_INET6, four ? a->ip + 12 : a->ip, ip, sizeof ip);
    snprintf(text, sizeof text, four ? "%s:%u" : "[%s]:%u", ip, (unsigned)a->port);
    return text;
}

/* ---- Log ---- */

/* One line on stderr, with the time and, if not NULL, whom it is about. Never the text of a message. */
static void say_of(const ocm_addr *whom, int level, const char *format, ...)
{
    char when[32];
    time_t t = time(NULL);
    va_list args;
    if (level > loudness) return;
    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", localtime(&t));
    fprintf(stderr, whom ? "%s %s: " : "%s ", when, whom ? addr_text(whom) : "");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    fflush(stderr);
}

/* ---- Listening ---- */

static uint16_t socket_port(socket_t s)
{
    struct sockaddr_storage ss;
    socklen len = sizeof ss;
    memset(&ss, 0, sizeof ss);
    getsockname(s, (struct sockaddr *)&ss, &len);
    return addr_of(&ss, 0).port;
}

/* A bound socket, or INVALID_SOCKET with the error in *why. */
static socket_t open_bound(const struct addrinfo *ai, int type, int *why)
{
    int on = 1, off = 0;
    socket_t s = socket(ai->ai_family, type, 0);
    *why = socket_error();
    if (s == INVALID_SOCKET) return s;
    if (type == SOCK_STREAM) setsockopt(s, SOL_SOCKET, LISTEN_ALONE, (const char *)&on, sizeof on);
    if (ai->ai_family == AF_INET6) setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, (const char *)&off, sizeof off);
    if (socket_fits(s) && bind(s, ai->ai_addr, (socklen)ai->ai_addrlen) == 0 &&
        (type == SOCK_STREAM ? socket_nonblocking(s) && listen(s, SOMAXCONN) == 0 : socket_udp_mode(s)))
        return s;
    *why = socket_error();
    socket_close(s);
    return INVALID_SOCKET;
}

static socket_t open_port(const char *host, const char *port, int type, int *family, int *why)
{
    struct addrinfo hints, *list = NULL;
    socket_t s;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = *family;
    hints.ai_socktype = type;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    if (getaddrinfo(host, port, &hints, &list) != 0 || !list)
        die(1, "cannot find the address \"%s\" to listen on; give one of this machine's with -l", host);
    *family = list->ai_family;
    s = open_bound(list, type, why);
    freeaddrinfo(list);
    return s;
}

/* Without a host: all addresses, IPv4 and IPv6 on one socket; IPv4 alone on a machine that has no IPv6. */
static void open_pair(const char *host, const char *tcp, const char *udp)
{
    pair *p = &pairs[pair_count];
    const char *shown = host ? host : "::";
    int why = 0, family = host ? AF_UNSPEC : AF_INET6;
    p->tcp = open_port(shown, tcp, SOCK_STREAM, &family, &why);
    if (p->tcp == INVALID_SOCKET && !host) {
        socket_t probe = socket(AF_INET6, SOCK_STREAM, 0);
        if (probe != INVALID_SOCKET) {
            socket_close(probe);
        } else {
            shown = "0.0.0.0";
            family = AF_INET;
            p->tcp = open_port(shown, tcp, SOCK_STREAM, &family, &why);
        }
    }
    if (p->tcp == INVALID_SOCKET) die(1, "cannot listen on %s, TCP port %s: %s; choose another with -l", shown, tcp, socket_words(why));
    p->udp = open_port(shown, udp, SOCK_DGRAM, &family, &why);
    if (p->udp == INVALID_SOCKET) die(1, "cannot listen on %s, UDP port %s: %s; choose another with -l", shown, udp, socket_words(why));
    p->family = family;
    p->udp_port = socket_port(p->udp);
    pair_count++;
}

/* [HOST/]TCP:UDP */
static void open_listener(const char *arg)
{
    char text[300], *ports = text, *slash, *colon;
    if (strlen(arg) >= sizeof text) die(2, "-l %s: too long; write [HOST/]TCP:UDP", arg);
    if (pair_count == PAIRS_MAX) die(2, "-l %s: at most %d listeners", arg, PAIRS_MAX);
    strcpy(text, arg);
    if ((slash = strrchr(text, '/')) != NULL) {
        *slash = 0;
        ports = slash + 1;
    }
    colon = strchr(ports, ':');
    if (!colon || slash == text) die(2, "-l %s: write [HOST/]TCP:UDP, for example -l 127.0.0.1/8000:9000", arg);
    *colon++ = 0;
    if (!*ports || strlen(ports) > 5 || strspn(ports, "0123456789") != strlen(ports) || atoi(ports) > 65535 ||
        !*colon || strlen(colon) > 5 || strspn(colon, "0123456789") != strlen(colon) || atoi(colon) > 65535)
        die(2, "-l %s: a port is a number from 0 to 65535", arg);
    open_pair(slash ? text : NULL, ports, colon);
    slash = slash ? text : (char *)(uintptr_t)(pairs[pair_count - 1].family == AF_INET ? "0.0.0.0" : "::");
    printf("listening on %s/%u:%u\n", slash, (unsigned)socket_port(pairs[pair_count - 1].tcp), (unsigned)pairs[pair_count - 1].udp_port);
}

/* ---- UDP ---- */

/* Waits until s can send, at most a moment. */
static void wait_writable(socket_t s)
{
    struct timeval moment;
    fd_set set;
    moment.tv_sec = 0;
    moment.tv_usec = 10000;
    FD_ZERO(&set);
    FD_SET(s, &set);
    select((int)s + 1, NULL, &set, NULL, &moment);
}

/* A full buffer makes the world wait; after a second of it the datagram is given up, as a network would. */
static int send_datagram(socket_t s, const uint8_t *p, size_t n, const socket_addr *to, socklen len)
{
    int i;
    for (i = 0; i < 100; i++) {
        if (socket_send_to(s, p, n, &to->any, len)) return 1;
        if (!socket_full(socket_error())) return 0;
        wait_writable(s);
    }
    return 1;
}

static int send_event(const ocm_event *ev)
{
    const pair *p = &pairs[ev->to.socket];
    const uint8_t *at = ev->ptr, *end = ev->ptr + ev->len;
    socket_addr to;
    socklen len = addr_to(&ev->to, p->family, &to);
    if (ev->len <= ev->each ? socket_send_to(p->udp, ev->ptr, ev->len, &to.any, len)
                            : socket_send_train(p->udp, ev->ptr, ev->len, ev->each, &to.any, len))
        return 1;
    for (; (size_t)(end - at) > ev->each; at += ev->each)
        if (!send_datagram(p->udp, at, ev->each, &to, len)) return 0;
    return send_datagram(p->udp, at, (size_t)(end - at), &to, len);
}

/* Sends all that the registry has to say. */
static void deliver(void)
{
    ocm_event ev;
    while (ocm_registry_next(registry, &ev)) {
        if (ev.out)
            say_of(NULL, 1, "\"%.*s\" is out of \"%.*s\": %s", (int)ev.name.len, (const char *)ev.name.ptr, (int)ev.room.len,
                (const char *)ev.room.ptr, ev.out);
        if (send_event(&ev)) continue;
        say_of(&ev.to, 2, "cannot send there: %s", socket_words(socket_error()));
        ocm_registry_failed(registry, &ev, now);
    }
}

/* A datagram from one of our own UDP sockets would go in circles. Only this machine can bind to its own address. */
static int from_ourselves(const ocm_addr *from)
{
    socket_addr to;
    ocm_addr probe = *from;
    socklen len;
    socket_t s;
    int i, ours;
    for (i = 0; i < pair_count && pairs[i].udp_port != from->port;) i++;
    if (i == pair_count) return 0;
    probe.port = 0;
    len = addr_to(&probe, pairs[from->socket].family, &to);
    s = socket(pairs[from->socket].family, SOCK_DGRAM, 0);
    if (s == INVALID_SOCKET) return 1;
    ours = bind(s, &to.any, len) == 0;
    socket_close(s);
    return ours;
}

/* One datagram. 0 when there is none, with flags 0 after the next tick. */
static int read_datagram(int which, int flags)
{
    uint8_t buf[OCM_DATAGRAM_MAX + 1];
    struct sockaddr_storage ss;
    socklen len = sizeof ss;
    ocm_addr from;
    int n = (int)recvfrom(pairs[which].udp, (char *)buf, sizeof buf, flags, (struct sockaddr *)&ss, &len);
    if (n < 0) {
        int e = socket_error();
        if (!socket_cut(e)) return !socket_full(e); /* an earlier datagram of ours reached nobody: there may be more to read */
        n = sizeof buf;
    }
    from = addr_of(&ss, which);
    if (from_ourselves(&from)) return 1;
    while (ocm_registry_datagram(registry, buf, (size_t)n, &from, now) == OCM_E_AGAIN) deliver();
    return 1;
}

/* Whether to look for a second thing after the first: in vain it costs as much as a tenth of a relay. So it is looked for where there
   was more lately, and else now and then. */
typedef struct curiosity {
    int turns;
    unsigned single;
} curiosity;

static void curiosity_learn(curiosity *c, int found)
{
    if (found > 1) c->turns = 16;
    else if (c->turns) c->turns--;
    else if (found == 1 && ++c->single % 32 == 0) c->turns = 1;
}

/* Reads what waits, up to a bound: what piled up leaves together. */
static int read_datagrams(int which, int flags)
{
    static curiosity c;
    int n = read_datagram(which, flags);
    while (n && c.turns && n < TURN_MAX && read_datagram(which, NO_WAIT)) n++;
    curiosity_learn(&c, n);
    return n;
}

/* ---- TCP ---- */

/* Afterwards another connection, or none, is in this place. */
static void client_close(client *c, const char *why)
{
    client gone;
    say_of(&c->from, 2, "connection closed: %s", why);
    if (c->in && c->out_len) { /* the success was not written */
        while (ocm_registry_undo(registry, c->token) == OCM_E_AGAIN) deliver();
    }
    socket_close(c->s);
    gone = *c;
    *c = clients[--client_count];
    clients[client_count] = gone;
}

/* Closes the connection that has been silent longest, for one that is not: strangers who only sit there keep nobody out. */
static void client_evict(const char *why)
{
    client *idle = NULL;
    int i;
    for (i = 0; i < client_count; i++)
        if (!idle || (!clients[i].out_len && clients[i].active < idle->active)) idle = &clients[i];
    if (idle) client_close(idle, why);
}

/* A place for a connection; its buffers are kept for the next one. NULL without memory. */
static client *client_open(void)
{
    client *c;
    client_buffers *buf;
    if (client_count == CLIENTS_MAX) client_evict("another one needs the place");
    c = &clients[client_count];
    buf = c->buf ? c->buf : (client_buffers *)malloc(sizeof *buf);
    if (!buf) return NULL;
    memset(c, 0, sizeof *c);
    c->buf = buf;
    client_count++;
    return c;
}

static void log_answer(const client *c, const ocm_answer *a)
{
    static const char *const words[] = {"request", "create", "join", "list"};
    say_of(&c->from, a->success ? 1 : 2, "%s \"%.*s\" as \"%.*s\": %d", words[a->op >= 1 && a->op <= 3 ? a->op : 0],
        (int)a->room.len, a->room.ptr ? (const char *)a->room.ptr : "", (int)a->name.len,
        a->name.ptr ? (const char *)a->name.ptr : "", a->status);
}

/* Takes one request out of the input. 0 when there is none yet. */
static int client_request(client *c)
{
    uint8_t random[16];
    ocm_answer a;
    int n;
    a.out = c->buf->out;
    if (!entropy(random, sizeof random)) die(1, "the system gives no random bytes; tokens cannot be made");
    while ((n = ocm_registry_request(registry, c->buf->in, c->in_len, &c->from, now, random, &a)) == OCM_E_AGAIN) deliver();
    if (n <= 0) return 0;
    log_answer(c, &a);
    c->in_len -= (size_t)n;
    memmove(c->buf->in, c->buf->in + n, c->in_len);
    c->success = a.success;
    c->in = a.in;
    c->shut = a.close;
    memcpy(c->token, a.token, sizeof c->token);
    c->out_at = 0;
    c->out_first = a.first;
    c->out_len = a.len;
    c->later = now + a.delay;
    c->deadline = c->later + OCM_REQUEST_MS; /* for who does not read */
    return 1;
}

/* The answer is sent: what now? */
static void client_answered(client *c)
{
    c->out_len = c->out_at = 0;
    c->deadline = now + (c->in_len ? OCM_REQUEST_MS : OCM_SILENCE_MS);
    if (c->success) c->in_len = 0;
    if (!c->shut) return;
    socket_shut(c->s); /* closing while bytes still come would reset the connection and lose the answer */
    c->lingers = 1;
    c->in_len = 0;
    c->deadline = now + OCM_LINGER_MS;
}

/* Sends what may go now. 0 when the connection is gone. */
static int client_write(client *c)
{
    size_t end = now >= c->later ? c->out_len : c->out_first;
    while (c->out_at < end) {
        int n = socket_send(c->s, c->buf->out + c->out_at, end - c->out_at);
        if (n < 0 && socket_full(socket_error())) return 1;
        if (n < 0) {
            client_close(c, socket_words(socket_error()));
            return 0;
        }
        c->out_at += (size_t)n;
    }
    if (c->out_len && c->out_at == c->out_len) client_answered(c);
    return 1;
}

/* Requests are answered in order, the next only after the last is complete. */
static void client_work(client *c)
{
    while (client_write(c) && !c->out_len && !c->success && !c->lingers && c->in_len && client_request(c)) {
    }
}

static void client_read(client *c)
{
    uint8_t rest[4096];
    int ignore = c->success || c->lingers;
    size_t room = ignore ? sizeof rest : sizeof c->buf->in - c->in_len;
    int n = socket_receive(c->s, ignore ? rest : c->buf->in + c->in_len, room);
    if (n < 0 && socket_full(socket_error())) return;
    if (n <= 0) {
        client_close(c, n ? socket_words(socket_error()) : "the client closed it");
        return;
    }
    c->active = now;
    if (ignore) return;
    if (c->in_len == 0 && c->out_len == 0) c->deadline = now + OCM_REQUEST_MS;
    c->in_len += (size_t)n;
    client_work(c);
}

/* 0 when nobody is waiting. */
static int accept_client(int which)
{
    struct sockaddr_storage ss;
    socklen len = sizeof ss;
    socket_t s = socket_accept(pairs[which].tcp, &ss, &len);
    client *c;
    if (s == INVALID_SOCKET) {
        if (!socket_no_more(socket_error())) return 0;
        say_of(NULL, 0, "no descriptors left for a connection; raise the limit (ulimit -n)");
        client_evict("no descriptors left");
        return 0;
    }
    if (!socket_fits(s)) {
        say_of(NULL, 0, "a connection was refused: select() cannot watch its descriptor");
        socket_close(s);
        return 1;
    }
    c = client_open();
    if (!c) {
        say_of(NULL, 0, "a connection was refused: no memory");
        socket_close(s);
        return 1;
    }
    c->s = s;
    c->from = addr_of(&ss, which);
    c->active = now;
    c->deadline = now + OCM_SILENCE_MS;
    say_of(&c->from, 2, "connected");
    client_read(c); /* the request is often there already */
    return 1;
}

static void accept_clients(int which)
{
    static curiosity c;
    int n = accept_client(which);
    while (n && n < TURN_MAX && (flowing || c.turns) && accept_client(which)) n++;
    curiosity_learn(&c, n);
}

/* ---- Loop ---- */

static void watch(socket_t s, fd_set *set, int *top)
{
    FD_SET(s, set);
    if ((int)s > *top) *top = (int)s;
}

/* Watches the TCP connections too. Returns when the first of them wants attention. */
static uint64_t watch_clients(fd_set *readable, fd_set *writable, int *top)
{
    uint64_t until = UINT64_MAX;
    int i;
    for (i = 0; i < client_count; i++) {
        const client *c = &clients[i];
        if (c->in_len < sizeof c->buf->in) watch(c->s, readable, top);
        if (c->out_at < (now >= c->later ? c->out_len : c->out_first)) watch(c->s, writable, top);
        if (c->deadline < until) until = c->deadline;
        if (c->out_len && c->later > now && c->later < until) until = c->later;
    }
    return until;
}

/* Waits until something happens on a socket or time has run out. */
static void wait_for_events(fd_set *readable, fd_set *writable, int all)
{
    uint64_t until = ocm_registry_deadline(registry), clients_until = tcp_turn, ms;
    struct timeval t;
    int i, top = 0;
    FD_ZERO(readable);
    FD_ZERO(writable);
    for (i = 0; i < pair_count; i++) {
        watch(pairs[i].tcp, readable, &top);
        watch(pairs[i].udp, readable, &top);
    }
    if (all) clients_until = watch_clients(readable, writable, &top);
    if (clients_until < until) until = clients_until;
    ms = flowing ? 0 : until > now ? until - now : 0;
    if (ms > WAIT_MS) ms = WAIT_MS;
    t.tv_sec = (long)(ms / 1000);
    t.tv_usec = (long)(ms % 1000) * 1000;
    i = select(top + 1, readable, writable, NULL, &t);
    now = clock_ms();
    if (i >= 0) return;
    FD_ZERO(readable); /* a signal: the sets mean nothing */
    FD_ZERO(writable);
}

static void serve_client(client *c, const fd_set *readable, const fd_set *writable)
{
    int gone = 0, count = client_count;
    if (FD_ISSET(c->s, readable)) client_read(c);
    gone = client_count < count;
    if (!gone && (FD_ISSET(c->s, writable) || (c->out_len && now >= c->later))) client_work(c);
    gone = client_count < count;
    if (!gone && now >= c->deadline) client_close(c, c->lingers ? "the refusal is sent" : "nothing came in time");
}

static void flow(int on)
{
    if (on != flowing) tempo(on);
    flowing = on;
}

/* With many connections not every select() looks at them all: those who ask can wait, a millisecond for every 16 connections, and those
   who talk need not pay. */
static void serve_sockets(void)
{
    int i, all = client_count <= 16 || now >= tcp_turn;
    fd_set readable, writable;
    wait_for_events(&readable, &writable, all);
    if (all) {
        tcp_turn = now + TEMPO_MS + (uint64_t)client_count / 16;
        for (i = client_count - 1; i >= 0; i--) serve_client(&clients[i], &readable, &writable);
    }
    for (i = 0; i < pair_count; i++)
        if (FD_ISSET(pairs[i].tcp, &readable)) accept_clients(i);
    for (i = 0; i < pair_count; i++)
        if (FD_ISSET(pairs[i].udp, &readable) && read_datagrams(i, NO_WAIT)) flow(WAITS_IN_READ && pair_count == 1);
}

/* While datagrams come, there is a select() only after each tick; after one without a datagram there is one for everything again. */
static void serve(void)
{
    static int heard;
    if (flowing && !ticked) {
        if (read_datagrams(0, 0)) heard = 1;
    } else {
        if (flowing && !heard) flow(0);
        ticked = heard = 0;
        serve_sockets();
    }
    while (ocm_registry_time(registry, now) == OCM_E_AGAIN) deliver();
    deliver();
}

/* ---- Main ---- */

static const char usage[] =
    "usage: server [-l [HOST/]TCP:UDP]... [-R rooms] [-M members] [-i idle-seconds] [-r messages-per-second] [-q | -v] [-h] [-V]\n"
    "  -l  listen there; several times: on all of them (default 8000:9000, all addresses; port 0: any free one)\n"
    "  -R  rooms at once (default 1000)            -M  members at once (default 10000)\n"
    "  -i  seconds of silence after which a member is dropped (default 300)\n"
    "  -r  messages a second that a member may send, in bursts of twice as many (default 50, 0: no limit)\n"
    "  -q  log errors only                         -v  log connections and refusals, too\n"
    "  -h  this text                               -V  the version\n";

static uint32_t number(int option, const char *text, uint32_t least, uint32_t most)
{
    unsigned long n = strlen(text) <= 9 && *text && strspn(text, "0123456789") == strlen(text) ? strtoul(text, NULL, 10) : most + 1ul;
    if (n < least || n > most) die(2, "-%c %s: give a number from %lu to %lu", option, text, (unsigned long)least, (unsigned long)most);
    return (uint32_t)n;
}

/* Returns how many -l there were; they are opened once all options are known to be right. */
static int options(int argc, char **argv, ocm_limits *limits, const char *listen_on[PAIRS_MAX])
{
    int i, listeners = 0;
    for (i = 1; i < argc; i++) {
        int option = argv[i][0] == '-' && argv[i][1] && !argv[i][2] ? argv[i][1] : 0;
        if (option == 'h') exit(fputs(usage, stdout) < 0);
        if (option == 'V') exit(printf("server %s\n", OCM_VERSION) < 0);
        if (option == 'q') loudness = 0;
        else if (option == 'v') loudness = 2;
        else if (!option || !strchr("lRMir", option)) die(2, "unknown argument \"%s\"; see server -h", argv[i]);
        else if (++i == argc) die(2, "-%c wants a value; see server -h", option);
        else if (option == 'R') limits->rooms = number(option, argv[i], 1, 100000000);
        else if (option == 'M') limits->members = number(option, argv[i], 1, 100000000);
        else if (option == 'i') limits->idle = number(option, argv[i], 1, 86400 * 365);
        else if (option == 'r') limits->rate = number(option, argv[i], 0, 1000000);
        else if (listeners == PAIRS_MAX) die(2, "-l %s: at most %d listeners", argv[i], PAIRS_MAX);
        else listen_on[listeners++] = argv[i];
    }
    if (!listeners) listen_on[listeners++] = "8000:9000";
    return listeners;
}

static void totals(void)
{
    const ocm_counts *c = ocm_registry_counts(registry);
    say_of(NULL, 1, "stopped: %llu requests (%llu refused), %llu datagrams in (%llu dropped), %llu messages (%llu refused), %llu datagrams out",
        (unsigned long long)c->requests, (unsigned long long)c->refused, (unsigned long long)c->datagrams,
        (unsigned long long)c->dropped, (unsigned long long)c->messages, (unsigned long long)c->unaccepted,
        (unsigned long long)c->events);
}

int main(int argc, char **argv)
{
    ocm_limits limits = ocm_limits_default();
    const char *listen_on[PAIRS_MAX];
    uint8_t key[16];
    void *mem;
    int i, listeners = options(argc, argv, &limits, listen_on);
    if (!platform_start() || !entropy(key, sizeof key)) die(1, "the system gives no sockets or no random bytes");
    setvbuf(stderr, NULL, _IOFBF, 4096); /* a line is one write, which no signal can tear */
    limits.train = train_max();
    mem = calloc(1, ocm_registry_size(&limits));
    if (!mem)
        die(1, "no memory for %lu rooms and %lu members; ask for fewer with -R and -M", (unsigned long)limits.rooms,
            (unsigned long)limits.members);
    registry = ocm_registry_init(mem, &limits, key);
    for (i = 0; i < listeners; i++) open_listener(listen_on[i]);
    fflush(stdout);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    now = clock_ms();
    while (!stopping) serve();
    ocm_registry_stop(registry);
    deliver();
    totals();
    return 0;
}
