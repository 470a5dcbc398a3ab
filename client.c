/* client.c - a chat client: one select() loop around ocm.h

   cc -o client client.c              (Windows: gcc -o client client.c -lws2_32)
   ./client                           asks for all that it needs
   ./client -n alice lobby            joins "lobby" on this machine, or creates it
   echo hi | ./client -n bot lobby    on a pipe each line is a message, each message a line
   ./client -h                        all options

   What is said on the wire, retransmitted and put in order is decided in ocm.h. Here are sockets,
   time and the terminal: first everything that differs between systems, then the line editor, what
   is shown, connecting, lists, the session, the plain text dialect, input, the loop, and main. */

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
/* ---- Platform: stdin, stdout, signals. Every other #ifdef of this file is above. ---- */

#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#include <shellapi.h>
#ifdef _MSC_VER
#pragma comment(lib, "shell32")
#endif
#ifndef ENABLE_VIRTUAL_TERMINAL_INPUT
#define ENABLE_VIRTUAL_TERMINAL_INPUT 0x200
#endif
#ifndef ENABLE_VIRTUAL_TERMINAL_PROCESSING
#define ENABLE_VIRTUAL_TERMINAL_PROCESSING 4
#endif
#else
#include <sys/ioctl.h>
#include <termios.h>
#endif
#include <ctype.h>

/* The longest sleep. What is not worth a reason to wake up earlier is seen after it: a signal that
   came just before, a new size of the window, the time for another address, a key on Windows. */
#define TURN_MS 50

enum { MODE_SHELL, MODE_SILENT, MODE_KEYS }; /* as it was found; no echo; each key at once, too */

/* What signals have told. An `urgent` signal ends the program where it stands. */
static struct {
    volatile sig_atomic_t interrupts, stops, resumed, urgent;
} heard;

static void terminal_mode(int wanted);

static void on_signal(int sig)
{
    if (sig == SIGINT) heard.interrupts++;
    else heard.stops++;
    if (heard.urgent) {
        terminal_mode(MODE_SHELL);
        _Exit(130);
    }
}

#ifdef _WIN32
#define SOCKET_TIMEOUT WSAETIMEDOUT
#define INPUT_SOCKET INVALID_SOCKET /* select() knows nothing of stdin: it is tried every turn */

static int is_terminal(FILE *f)
{
    DWORD mode;
    return GetConsoleMode((HANDLE)_get_osfhandle(_fileno(f)), &mode) != 0;
}

static int socket_connecting(int e) { return e == WSAEWOULDBLOCK; }
static int terminal_skill(void) { return 2; }
static void suspend(void) {}
static void output_ready(FILE *f) { (void)f; }
static void wait_ms(uint64_t ms) { Sleep((DWORD)ms); }

static size_t to_utf8(const WCHAR *wide, int len, char *out, size_t cap)
{
    int n = WideCharToMultiByte(CP_UTF8, 0, wide, len, out, (int)cap, NULL, NULL);
    return n > 0 ? (size_t)n : 0;
}

static char *utf8_copy(const WCHAR *wide)
{
    size_t cap = wcslen(wide) * 3 + 1;
    char *copy = (char *)malloc(cap);
    if (!copy) exit(1);
    to_utf8(wide, -1, copy, cap);
    return copy;
}

static const char *environment(const char *name)
{
    WCHAR wide[64];
    const WCHAR *value;
    if (strcmp(name, "USER") == 0) name = "USERNAME";
    if (!MultiByteToWideChar(CP_UTF8, 0, name, -1, wide, 64)) return NULL;
    value = _wgetenv(wide);
    return value ? utf8_copy(value) : NULL;
}

/* The arguments as UTF-8; and what is written leaves in one piece, as it is. */
static void standard_start(int *argc, char ***argv)
{
    WCHAR **wide = CommandLineToArgvW(GetCommandLineW(), argc);
    int i;
    *argv = (char **)malloc((size_t)(*argc + 1) * sizeof **argv);
    if (!wide || !*argv) exit(1);
    for (i = 0; i < *argc; i++) (*argv)[i] = utf8_copy(wide[i]);
    (*argv)[i] = NULL;
    _setmode(_fileno(stdout), _O_BINARY);
    _setmode(_fileno(stderr), _O_BINARY);
    SetConsoleOutputCP(CP_UTF8);
}

static void on_signal_again(int sig)
{
    signal(sig, on_signal_again); /* the system forgets a handler that it has called */
    on_signal(sig);
}

static void signals_start(void)
{
    signal(SIGINT, on_signal_again);
    signal(SIGTERM, on_signal_again);
    signal(SIGBREAK, on_signal_again);
}

static void terminal_mode(int wanted)
{
    static int mode = MODE_SHELL;
    static DWORD found[2]; /* of stdin and stdout */
    HANDLE in = GetStdHandle(STD_INPUT_HANDLE), out = GetStdHandle(STD_OUTPUT_HANDLE);
    if (mode == MODE_SHELL) {
        GetConsoleMode(in, &found[0]);
        GetConsoleMode(out, &found[1]);
    }
    if (mode == MODE_KEYS && wanted == MODE_SHELL) FlushConsoleInputBuffer(in);
    mode = wanted;
    SetConsoleMode(in, wanted == MODE_KEYS ? ENABLE_VIRTUAL_TERMINAL_INPUT
                       : wanted == MODE_SILENT ? found[0] & ~(DWORD)ENABLE_ECHO_INPUT : found[0]);
    SetConsoleMode(out, found[1] | (wanted == MODE_KEYS ? ENABLE_VIRTUAL_TERMINAL_PROCESSING : 0));
}

static void terminal_size(int *rows, int *columns)
{
    CONSOLE_SCREEN_BUFFER_INFO info;
    *rows = 24;
    *columns = 80;
    if (!GetConsoleScreenBufferInfo(GetStdHandle(STD_OUTPUT_HANDLE), &info)) return;
    *rows = info.srWindow.Bottom - info.srWindow.Top + 1;
    *columns = info.srWindow.Right - info.srWindow.Left + 1;
}

/* Reads what would block, a piece at a time, so that what comes in by the network need not wait.
   An empty piece is the end. */
static struct {
    HANDLE given, taken;
    char bytes[4096];
    size_t len;
} piece;

static DWORD WINAPI read_pieces(LPVOID unused)
{
    HANDLE in = GetStdHandle(STD_INPUT_HANDLE);
    WCHAR wide[sizeof piece.bytes / 4];
    DWORD n;
    (void)unused;
    do {
        n = 0;
        if (!is_terminal(stdin)) {
            if (!ReadFile(in, piece.bytes, sizeof piece.bytes, &n, NULL)) n = 0;
        } else if (ReadConsoleW(in, wide, sizeof wide / sizeof *wide, &n, NULL)) {
            if (n > 0 && wide[0] == 26) n = 0; /* ^Z ends the input, as everywhere on Windows */
            else n = (DWORD)to_utf8(wide, (int)n, piece.bytes, sizeof piece.bytes);
        }
        piece.len = n;
        SetEvent(piece.given);
        WaitForSingleObject(piece.taken, INFINITE);
    } while (n > 0);
    return 0;
}

static int input_piece(uint8_t *p, size_t cap)
{
    size_t len;
    if (!piece.given) {
        piece.given = CreateEvent(NULL, FALSE, FALSE, NULL);
        piece.taken = CreateEvent(NULL, FALSE, FALSE, NULL);
        CreateThread(NULL, 0, read_pieces, NULL, 0, NULL);
    }
    if (WaitForSingleObject(piece.given, 0) != WAIT_OBJECT_0) return 0;
    len = piece.len < cap ? piece.len : cap;
    memcpy(p, piece.bytes, len);
    SetEvent(piece.taken);
    return len > 0 ? (int)len : -1;
}

/* > 0 bytes read, 0 nothing now, < 0 the end. keys: of a console, unread by the system. */
static int input_read(int keys, uint8_t *p, size_t cap)
{
    static WCHAR high; /* the first half of a character that takes two */
    HANDLE in = GetStdHandle(STD_INPUT_HANDLE);
    INPUT_RECORD event;
    DWORD n;
    size_t len = 0;
    if (!keys) return input_piece(p, cap);
    while (len + 4 <= cap && PeekConsoleInputW(in, &event, 1, &n) && n > 0) {
        WCHAR wide[2];
        ReadConsoleInputW(in, &event, 1, &n);
        wide[0] = high;
        wide[1] = event.Event.KeyEvent.uChar.UnicodeChar;
        if (event.EventType != KEY_EVENT || !event.Event.KeyEvent.bKeyDown || !wide[1]) continue;
        high = wide[1] >= 0xD800 && wide[1] < 0xDC00 ? wide[1] : 0;
        if (!high) len += to_utf8(wide + !wide[0], wide[0] ? 2 : 1, (char *)p + len, 4);
    }
    return (int)len;
}
#else
#define SOCKET_TIMEOUT ETIMEDOUT
#define INPUT_SOCKET STDIN_FILENO

static int socket_connecting(int e) { return e == EINPROGRESS || e == EINTR; }
static int is_terminal(FILE *f) { return isatty(fileno(f)); }
static const char *environment(const char *name) { return getenv(name); }
static void standard_start(int *argc, char ***argv) { (void)argc, (void)argv; }
static void suspend(void) { kill(0, SIGTSTP); } /* the whole job, as the terminal would */

static void wait_ms(uint64_t ms)
{
    struct timespec t;
    t.tv_sec = (time_t)(ms / 1000);
    t.tv_nsec = (long)(ms % 1000) * 1000000;
    nanosleep(&t, NULL);
}

/* 0: the terminal knows no escape sequences; 1: it does; 2: it has a title, too, which a console
   has not. */
static int terminal_skill(void)
{
    const char *name = getenv("TERM");
    if (!name || !*name || strcmp(name, "dumb") == 0) return 0;
    return strncmp(name, "linux", 5) == 0 || strncmp(name, "vt", 2) == 0 ? 1 : 2;
}

static void on_resume(int sig)
{
    (void)sig;
    heard.resumed = 1;
}

/* A signal that is ignored stays so: that was nohup's wish, or the shell's. */
static void signal_set(int sig, void (*handler)(int))
{
    struct sigaction action;
    if (sigaction(sig, NULL, &action) == 0 && action.sa_handler == SIG_IGN) return;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler; /* without SA_RESTART: a signal ends what would block */
    sigemptyset(&action.sa_mask);
    sigaction(sig, &action, NULL);
}

static void signals_start(void)
{
    signal_set(SIGINT, on_signal);
    signal_set(SIGTERM, on_signal);
    signal_set(SIGHUP, on_signal);
    signal_set(SIGCONT, on_resume);
}

/* ^C stays a signal: it is heard when nothing is read, too. A signal handler may call this. At the
   end what was typed and not read is dropped: it was meant for the chat, and the shell would run
   it. */
static void terminal_mode(int wanted)
{
    static const char marks_off[] = "\033[?2004l";
    static struct termios found;
    static volatile sig_atomic_t mode = MODE_SHELL;
    int was = mode;
    struct termios t;
    if (was == MODE_SHELL && (wanted == MODE_SHELL || tcgetattr(STDIN_FILENO, &found) != 0)) return;
    t = found;
    mode = wanted;
    if (wanted != MODE_SHELL) t.c_lflag &= ~(tcflag_t)ECHO;
    if (wanted == MODE_KEYS) {
        t.c_lflag &= ~(tcflag_t)(ICANON | IEXTEN);
        t.c_iflag &= ~(tcflag_t)IXON;
        t.c_cc[VQUIT] = t.c_cc[VSUSP] = _POSIX_VDISABLE;
        t.c_cc[VMIN] = 1;
        t.c_cc[VTIME] = 0;
    }
    if (was == MODE_KEYS && wanted == MODE_SHELL)
        (void)!write(STDOUT_FILENO, marks_off, sizeof marks_off - 1);
    tcsetattr(STDIN_FILENO, was == MODE_KEYS && wanted == MODE_SHELL ? TCSAFLUSH : TCSADRAIN, &t);
}

static void terminal_size(int *rows, int *columns)
{
    *rows = 24;
    *columns = 80;
#ifdef TIOCGWINSZ
    {
        struct winsize size;
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return;
        if (size.ws_row > 0) *rows = size.ws_row;
        if (size.ws_col > 0) *columns = size.ws_col;
    }
#endif
}

/* Waits until f takes bytes. If a signal comes meanwhile, f is given up for good: a reader that
   has stopped must not keep anyone from leaving. */
static void output_ready(FILE *f)
{
    fd_set writable;
    struct timeval t;
    int fd, n;
    do {
        t.tv_sec = 0;
        t.tv_usec = TURN_MS * 1000;
        FD_ZERO(&writable);
        FD_SET(fileno(f), &writable);
        n = select(fileno(f) + 1, NULL, &writable, NULL, &t);
        if (n > 0 || (n < 0 && errno != EINTR)) return;
    } while (heard.interrupts + heard.stops == 0);
    fd = open("/dev/null", O_WRONLY);
    if (fd < 0) return;
    dup2(fd, fileno(f));
    close(fd);
}

/* > 0 bytes read, 0 nothing now, < 0 the end. */
static int input_read(int keys, uint8_t *p, size_t cap)
{
    ssize_t n = read(STDIN_FILENO, p, cap);
    (void)keys;
    return n > 0 ? (int)n : n < 0 && socket_full(errno) ? 0 : -1;
}
#endif

/* ---- State ---- */

#define LINE_MAX_LEN 8192   /* bytes of a line of input that are kept: no message has more */
#define INPUT_MAX 16384     /* bytes of input that are read at once */
#define PASTE_MAX (1 << 20) /* bytes of a paste that are kept */
#define PASTE_LINES 10      /* more lines than this are pasted only after a question */
#define HISTORY_MAX 100     /* lines */
#define HEARD_MAX 64        /* names that Tab completes */
#define PLACES_MAX 16       /* servers */
#define ADDRESSES_MAX 8     /* of one server, that are tried */
#define LIST_MS 2000        /* how long a list may take */
#define CONNECT_MS 5000     /* how long connecting may take, all addresses together */
#define STAGGER_MS 1000     /* the next address is tried beside one that is silent for so long */
#define PENDING_MS 1000     /* a message unconfirmed for so long is shown in the prompt */

#define DIM "\033[2m"
#define BOLD "\033[1m"
#define PLAIN "\033[0m"

enum { PASTE_NONE, PASTE_COMING, PASTE_ASKED, PASTE_TAKEN };

/* stdin, stdout, and the line being typed; on a pipe, the line being read. */
static struct {
    int keyboard, screen;  /* stdin is a terminal; stdout is, too, and knows escape sequences */
    int colour, titled;
    int ended;                     /* stdin is at its end */
    uint8_t input[INPUT_MAX];      /* read, but not yet taken */
    size_t input_len, input_at;
    char line[LINE_MAX_LEN + 1];
    size_t len, at, lost;          /* at: the cursor; lost: bytes that did not fit */
    int complete;                  /* it ends here */
    const char *question;          /* that is being answered, or NULL */
    int hidden;                    /* its answer is not to be seen */
    char prompt[OCM_NAME_MAX + 64];
    int columns, before;           /* of the window, and of them before the cursor, when drawn */
    int drawn;                     /* what is on the screen is as it should be */
    char sequence[12];             /* what has come of a key's escape sequence */
    size_t sequence_len;
    int paste;                     /* PASTE_... */
    char pasted[PASTE_MAX];
    size_t pasted_len, pasted_at;
    char killed[LINE_MAX_LEN + 1]; /* for ^Y */
    char history[HISTORY_MAX + 1][LINE_MAX_LEN + 1]; /* the newest first; [0]: not yet said */
    size_t history_len, back;      /* back: which of them is shown */
    char names[HEARD_MAX][OCM_NAME_MAX + 1]; /* heard in the room, the latest first */
    int past;                      /* the room's past is being shown */
    int minute;                    /* of the clock, when a line was last shown */
} term;

/* What one turn of the loop waits for, and afterwards what has happened. */
typedef struct watch {
    fd_set readable, writable, failed;
    int top;
} watch;

/* A server, as -s tells it. */
typedef struct place {
    char host[256], tcp[6], udp[6];
    char name[300];             /* HOST/TCP:UDP in one way of writing: ocm_pick hashes it */
    struct addrinfo *addresses; /* NULL: not looked up yet */
} place;

/* A TCP connection, or the way to one: the addresses of a server in turn, and the first that
   answers is taken (RFC 8305, in its simplest form). */
typedef struct tcp_link {
    socket_t socket;                          /* INVALID_SOCKET: not connected */
    socket_t tries[ADDRESSES_MAX];
    const struct addrinfo *to[ADDRESSES_MAX]; /* where each of them connects to */
    const struct addrinfo *next;              /* not tried yet */
    int count, error;                         /* of tries; the last error seen */
    uint64_t again, until; /* ms: the next is tried; it is given up, 0: nothing is under way */
} tcp_link;

static struct {
    place places[PLACES_MAX];
    size_t place_count;
    place *home;                /* the server that has the room */
    tcp_link tcp;
    socket_t udp;
    struct sockaddr_storage to; /* where datagrams go */
    socklen to_len;
    int redials;                /* because the port was taken */
    int entered, leaving, over; /* of the session */
    int end, status;            /* OCM_END_...; the exit status */
    int signals;                /* that have been followed */
    uint64_t present;           /* seq: what is below it was said before we came */
    unsigned long refused;      /* messages that were refused */
    size_t pending;
    uint64_t pending_since;     /* ms: since when nothing more was confirmed */
} net;

static struct {
    const char *room, *name, *password;
    int want, text, list, ask_password;
} opt;

static ocm_session session;

static const ocm_view nothing = {NULL, 0};

static void finish(int status);
static void turn(uint64_t until);
static void follow_signals(void);

static ocm_view view(const void *p, size_t len)
{
    ocm_view v;
    v.ptr = (const uint8_t *)p;
    v.len = len;
    return v;
}

static unsigned long lines_in(const void *p, size_t from, size_t len)
{
    unsigned long lines = 0;
    for (; from < len; from++) lines += ((const char *)p)[from] == '\n';
    return lines;
}

/* ---- Characters ---- */

typedef struct range {
    uint32_t first, last;
} range;

static int in_ranges(const range *r, size_t count, uint32_t c)
{
    size_t i;
    for (i = 0; i < count; i++)
        if (c >= r[i].first && c <= r[i].last) return 1;
    return 0;
}

/* Columns that a character takes at most: none for combining ones, two for East Asian wide ones
   and pictures. */
static int columns_of(uint32_t c)
{
    static const range none[] = {{0x300, 0x36F}, {0x3099, 0x309A}, {0x200B, 0x200F},
                                 {0xFE00, 0xFE0F}, {0x20D0, 0x20FF}, {0x1F3FB, 0x1F3FF}};
    static const range two[] = {
        {0x1100, 0x115F}, {0x231A, 0x27BF}, {0x2B00, 0x2BFF}, {0x2E80, 0xA4CF}, {0xAC00, 0xD7A3},
        {0xF900, 0xFAFF}, {0xFE30, 0xFE6F}, {0xFF00, 0xFF60}, {0xFFE0, 0xFFE6}, {0x1F000, 0x3FFFF}};
    if (in_ranges(none, sizeof none / sizeof none[0], c)) return 0;
    return 1 + in_ranges(two, sizeof two / sizeof two[0], c);
}

/* 0 for blanks; characters of the same class make a word. Japanese has no blanks between words,
   but often another script. */
static int class_of(uint32_t c)
{
    static const range scripts[] = {{0x3041, 0x309F}, {0x30A0, 0x30FF}, {0x3400, 0x9FFF}};
    int i;
    if (c == ' ' || c == '\t' || c == 0x3000) return 0;
    for (i = 0; i < 3; i++)
        if (in_ranges(&scripts[i], 1, c)) return 2 + i;
    return 1;
}

static uint32_t character_at(const char *text, size_t len, size_t at, size_t *bytes)
{
    uint32_t c = '?';
    int n = ocm_utf8_decode((const uint8_t *)text + at, len - at, &c);
    *bytes = n ? (size_t)n : 1;
    return n ? c : '?';
}

/* The end of what looks like one character: with the combining ones after it, and with what
   U+200D joins to it. *columns grows by what it takes. */
static size_t step_on(const char *text, size_t len, size_t at, int *columns)
{
    size_t start = at, bytes;
    uint32_t before = 0;
    while (at < len) {
        uint32_t c = character_at(text, len, at, &bytes);
        int wide = columns_of(c);
        if (at > start && wide > 0 && before != 0x200D) break;
        before = c;
        at += bytes;
        *columns += wide;
    }
    return at;
}

static size_t step_back(const char *text, size_t len, size_t at)
{
    size_t before = 0, next = 0;
    int columns = 0;
    while (next < at) {
        before = next;
        next = step_on(text, len, next, &columns);
    }
    return before;
}

/* How far the text can be shown from a place on in so many columns. */
static size_t step_columns(const char *text, size_t len, size_t at, int columns)
{
    int used = 0;
    size_t next = at;
    while (next < len && used <= columns) {
        at = next;
        next = step_on(text, len, at, &used);
    }
    return used <= columns ? next : at;
}

static int columns_between(const char *text, size_t from, size_t to)
{
    int columns = 0;
    while (from < to) from = step_on(text, to, from, &columns);
    return columns;
}

/* The other end of the word at or after (direction 1), or before (-1) a place. */
static size_t step_word(const char *text, size_t len, size_t at, int direction)
{
    int word = 0, columns = 0;
    while (direction < 0 ? at > 0 : at < len) {
        size_t next = direction < 0 ? step_back(text, len, at) : step_on(text, len, at, &columns);
        size_t bytes;
        int here = class_of(character_at(text, len, direction < 0 ? next : at, &bytes));
        if (word && here != word) break;
        word = here;
        at = next;
    }
    return at;
}

/* Writes what a stranger wrote: what would move the cursor, or reorder the line, is shown and not
   executed. */
static void put_safe(FILE *f, ocm_view v)
{
    size_t i = 0;
    while (i < v.len) {
        uint32_t c = 0;
        int n = ocm_utf8_decode(v.ptr + i, v.len - i, &c);
        if (n == 0)
            fprintf(f, "\\x%02x", (unsigned)v.ptr[i]);
        else if ((c < 0x20 && c != '\t') || (c >= 0x7F && c <= 0x9F))
            fprintf(f, "\\x%02x", (unsigned)c);
        else if ((c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0x2028 ||
                 c == 0x2029)
            fprintf(f, "\\u%04x", (unsigned)c);
        else
            fwrite(v.ptr + i, 1, (size_t)n, f);
        i += n ? (size_t)n : 1;
    }
}

/* Writes what is being typed: each character takes the columns that columns_of says. */
static void put_typed(const char *text, size_t from, size_t to)
{
    size_t bytes;
    for (; from < to; from += bytes) {
        uint32_t c = character_at(text, to, from, &bytes);
        if (c < 0x20 || (c >= 0x7F && c <= 0x9F) || (bytes == 1 && c == '?'))
            putchar(c == '\t' ? ' ' : '?');
        else
            fwrite(text + from, 1, bytes, stdout);
    }
}

/* ---- The line on the screen ----

   Whoever writes wipes it first; turn() draws it before it waits. */

static void put_out(FILE *f)
{
    output_ready(f);
    fflush(f);
}

/* When the window has become narrower, terminals break the row that was drawn into several. */
static void line_wipe(void)
{
    int rows, columns;
    if (!term.screen) return;
    terminal_size(&rows, &columns);
    if (term.before >= columns) printf("\033[%dA", term.before / columns);
    fputs("\r\033[J", stdout);
    term.before = term.drawn = 0;
}

/* In the room: its name, with the count of messages that have been unconfirmed for long. */
static void line_prompt(char *prompt, size_t cap, int columns)
{
    int late = net.pending > 0 && clock_ms() - net.pending_since >= PENDING_MS;
    size_t len = strlen(opt.room ? opt.room : "");
    char count[32] = "";
    if (term.question) {
        snprintf(prompt, cap, "%s", term.question);
    } else if (!net.entered) {
        *prompt = 0;
    } else if (term.paste == PASTE_ASKED) {
        snprintf(prompt, cap, "say %lu lines? y/n ", lines_in(term.pasted, 0, term.pasted_len));
    } else {
        if (columns_between(opt.room, 0, len) > columns / 3)
            len = step_columns(opt.room, len, 0, columns / 3);
        if (late)
            sprintf(count, columns < 50 ? " (%lu)" : " (%lu waiting)", (unsigned long)net.pending);
        snprintf(prompt, cap, "%.*s%s> ", (int)len, opt.room, count);
    }
}

/* Shows the prompt and, around the cursor, as much of the line as fits beside it: one row, so that
   it can be wiped. To the right of the cursor goes what there is, up to half of the row. */
static void line_draw(void)
{
    char prompt[sizeof term.prompt];
    int rows, columns, row, width, after, excess, blind;
    size_t len, from, to;
    if (!term.screen) return;
    terminal_size(&rows, &columns);
    line_prompt(prompt, sizeof prompt, columns);
    if (!*prompt) return;
    if (term.drawn && columns == term.columns && strcmp(prompt, term.prompt) == 0) return;
    line_wipe();
    strcpy(term.prompt, prompt);
    term.columns = columns;
    term.drawn = 1;
    blind = term.hidden || term.paste == PASTE_ASKED; /* what is typed is not shown */
    row = columns > 1 ? columns - 1 : 1;
    len = step_columns(prompt, strlen(prompt), 0, blind ? row : row > 8 ? row - 8 : 0);
    put_typed(prompt, 0, len);
    term.before = columns_between(prompt, 0, len);
    if (!blind) {
        width = row > term.before ? row - term.before : 1;
        after = columns_between(term.line, term.at, term.len);
        if (after > width / 2) after = width / 2;
        excess = columns_between(term.line, 0, term.at) + after - width;
        /* + 1: half of a wide character cannot go */
        from = excess > 0 ? step_columns(term.line, term.len, 0, excess + 1) : 0;
        if (from > term.at) from = term.at;
        to = step_columns(term.line, term.len, from, width);
        put_typed(term.line, from, term.at);
        fputs("\0337", stdout); /* the terminal knows best how wide its characters are */
        put_typed(term.line, term.at, to);
        fputs("\0338", stdout);
        term.before += columns_between(term.line, from, term.at);
    }
    put_out(stdout);
}

/* ---- The line itself ---- */

static void line_clear(void)
{
    term.len = term.at = term.lost = term.back = 0;
    term.complete = term.drawn = 0;
}

static void line_insert(const char *p, size_t len)
{
    if (len > LINE_MAX_LEN - term.len) {
        term.lost += len;
        return;
    }
    memmove(term.line + term.at + len, term.line + term.at, term.len - term.at);
    memcpy(term.line + term.at, p, len);
    term.at += len;
    term.len += len;
}

/* Takes bytes out of the line; the cursor is then where they were. */
static void line_erase(size_t from, size_t to, int kill)
{
    if (kill && to > from) {
        memcpy(term.killed, term.line + from, to - from);
        term.killed[to - from] = 0;
    }
    memmove(term.line + from, term.line + to, term.len - to);
    term.len -= to - from;
    term.at = from;
}

static void history_add(void)
{
    term.line[term.len] = 0;
    if (strcmp(term.history[1], term.line) == 0) return;
    memmove(term.history[2], term.history[1], (HISTORY_MAX - 1) * sizeof term.history[0]);
    strcpy(term.history[1], term.line);
    if (term.history_len < HISTORY_MAX) term.history_len++;
}

/* Puts a line of the history in place of the one that is there. */
static void history_recall(size_t back)
{
    if (back > term.history_len || term.question) return;
    term.line[term.len] = 0;
    if (term.back == 0) strcpy(term.history[0], term.line);
    line_clear();
    term.back = back;
    strcpy(term.line, term.history[back]);
    term.len = term.at = strlen(term.line);
}

/* Somebody is in the room: Tab completes the name. */
static void name_heard(ocm_view name)
{
    size_t i = 0;
    if (!name.len || name.len > OCM_NAME_MAX || ocm_view_equal(name, ocm_text(opt.name))) return;
    while (i < HEARD_MAX - 1 && !ocm_view_equal(ocm_text(term.names[i]), name)) i++;
    memmove(term.names[1], term.names[0], i * sizeof term.names[0]);
    sprintf(term.names[0], "%.*s", OCM_S(name));
}

static void line_complete_name(void)
{
    size_t from = term.at, len, i;
    while (from > 0 && term.line[from - 1] != ' ') from--;
    len = term.at - from;
    for (i = 0; len > 0 && !term.question && i < HEARD_MAX; i++) {
        if (strncmp(term.names[i], term.line + from, len) != 0) continue;
        line_insert(term.names[i] + len, strlen(term.names[i]) - len);
        line_insert(": ", from == 0 ? 2 : 0);
        return;
    }
}

/* ---- Keys ---- */

#define CTL(letter) ((letter) & 31)

/* A control character is a key by itself; these are the others. */
enum {
    KEY_NONE, KEY_BACKSPACE = 127, KEY_TEXT, KEY_DELETE, KEY_WORD_LEFT, KEY_WORD_RIGHT,
    KEY_KILL_NEXT, KEY_PASTE, KEY_PASTED
};

/* What follows ESC; ESC O is read as ESC [. */
static const struct {
    const char *bytes;
    int key;
} sequences[] = {
    {"[A", CTL('P')}, {"[B", CTL('N')}, {"[C", CTL('F')}, {"[D", CTL('B')},
    {"[H", CTL('A')}, {"[1~", CTL('A')}, {"[7~", CTL('A')}, {"[F", CTL('E')},
    {"[4~", CTL('E')}, {"[8~", CTL('E')}, {"[3~", KEY_DELETE}, {"b", KEY_WORD_LEFT},
    {"[1;5D", KEY_WORD_LEFT}, {"[1;3D", KEY_WORD_LEFT}, {"[5D", KEY_WORD_LEFT},
    {"[d", KEY_WORD_LEFT}, {"f", KEY_WORD_RIGHT}, {"[1;5C", KEY_WORD_RIGHT},
    {"[1;3C", KEY_WORD_RIGHT}, {"[5C", KEY_WORD_RIGHT}, {"[c", KEY_WORD_RIGHT},
    {"d", KEY_KILL_NEXT}, {"\177", CTL('W')}, {"[200~", KEY_PASTE}, {"[201~", KEY_PASTED}};

/* One byte of input: the key that it completes, or KEY_NONE. */
static int key_of(uint8_t c)
{
    char *s = term.sequence;
    size_t i, n;
    if (c < ' ' || c > 0x7F) term.sequence_len = 0; /* it breaks a sequence off */
    if (term.sequence_len == 0 && c != '\033') return c < ' ' || c == 0x7F ? c : KEY_TEXT;
    n = term.sequence_len;
    if (n < sizeof term.sequence - 1) s[n] = n == 1 && c == 'O' ? '[' : (char)c, n++;
    term.sequence_len = n;
    if (n == 1 || (n == 2 && s[1] == '[')) return KEY_NONE;
    /* parameters; and ESC [ [ A is F1 of the Linux console */
    if (s[1] == '[' && (c < '@' || (n == 3 && c == '['))) return KEY_NONE;
    s[n] = 0;
    term.sequence_len = 0;
    for (i = 0; i < sizeof sequences / sizeof sequences[0]; i++)
        if (strcmp(s + 1, sequences[i].bytes) == 0) return sequences[i].key;
    return KEY_NONE;
}

/* Moves the paste into the line up to the end of a line, which is then complete. A line of a paste
   is no command: one that begins with / gets another. A question takes the first line and lets
   whoever answers it press Enter. */
static void paste_take(void)
{
    while (term.pasted_at < term.pasted_len) {
        char c = term.pasted[term.pasted_at++];
        if (c == '\n' && !term.question) {
            term.complete = 1;
            return;
        }
        if (c == '\n') break;
        if (c == '/' && term.at == 0 && !term.question) line_insert("/", 1);
        line_insert(&c, 1);
    }
    term.paste = PASTE_NONE;
}

/* Carries out a key that changes the line. */
static void key_edit(int key)
{
    char *line = term.line;
    size_t len = term.len, at = term.at;
    int columns = 0;
    switch (key) {
    case CTL('A'): term.at = 0; break;
    case CTL('E'): term.at = len; break;
    case CTL('B'): term.at = step_back(line, len, at); break;
    case CTL('F'): term.at = step_on(line, len, at, &columns); break;
    case KEY_WORD_LEFT: term.at = step_word(line, len, at, -1); break;
    case KEY_WORD_RIGHT: term.at = step_word(line, len, at, 1); break;
    case CTL('H'):
    case KEY_BACKSPACE: line_erase(step_back(line, len, at), at, 0); break;
    case CTL('D'):
    case KEY_DELETE: line_erase(at, step_on(line, len, at, &columns), 0); break;
    case CTL('W'): line_erase(step_word(line, len, at, -1), at, 1); break;
    case KEY_KILL_NEXT: line_erase(at, step_word(line, len, at, 1), 1); break;
    case CTL('U'): line_erase(0, at, 1); break;
    case CTL('K'): line_erase(at, len, 1); break;
    case CTL('Y'): line_insert(term.killed, strlen(term.killed)); break;
    case CTL('P'): history_recall(term.back + 1); break;
    case CTL('N'): history_recall(term.back ? term.back - 1 : HISTORY_MAX + 1); break;
    case CTL('I'): line_complete_name(); break;
    case CTL('L'): fputs("\033[H\033[2J", stdout); break;
    default: break;
    }
}

/* Takes one byte from the keyboard. */
static void key_take(uint8_t c)
{
    int key = key_of(c), enter = key == '\r' || key == '\n';
    char byte = enter ? '\n' : (char)c;
    if (term.paste == PASTE_COMING) {
        if (key == KEY_PASTED)
            term.paste = lines_in(term.pasted, 0, term.pasted_len) > PASTE_LINES && !term.question
                             ? PASTE_ASKED : PASTE_TAKEN;
        else if ((key == KEY_TEXT || enter || c == '\t') && term.pasted_len < PASTE_MAX)
            term.pasted[term.pasted_len++] = byte;
    } else if (key == KEY_NONE) {
        return;
    } else if (term.paste == PASTE_ASKED) {
        term.paste = c == 'y' || c == 'Y' ? PASTE_TAKEN : PASTE_NONE;
    } else if (key == KEY_PASTE) {
        term.paste = PASTE_COMING;
        term.pasted_len = term.pasted_at = 0;
    } else if (key == KEY_TEXT) {
        line_insert(&byte, 1);
    } else if (enter) {
        term.complete = 1;
    } else if (key == CTL('C')) {
        heard.interrupts++;
    } else if (key == CTL('Z')) {
        line_wipe();
        put_out(stdout);
        terminal_mode(MODE_SHELL);
        suspend();
        heard.resumed = 1;
    } else if (key == CTL('D') && term.len == 0) {
        term.ended = 1;
    } else {
        key_edit(key);
    }
}

/* Takes input until a line is complete: 1 when one is. */
static int line_take(void)
{
    while (!term.complete && !term.ended) {
        if (term.paste == PASTE_TAKEN) {
            paste_take();
        } else if (term.input_at < term.input_len) {
            char c = (char)term.input[term.input_at++];
            if (term.screen) key_take((uint8_t)c);
            else if (c != '\n') line_insert(&c, 1);
            else term.complete = 1;
            if (c == '\n' && term.len > 0 && term.line[term.len - 1] == '\r') term.len--;
        } else {
            return 0;
        }
        term.drawn = 0;
    }
    if (term.ended && !term.screen && term.len > 0) term.complete = 1; /* it may lack its newline */
    return term.complete;
}

/* ---- The screen ---- */

/* Ends every use of the terminal. Of a paste that is still coming the rest is read, up to its end
   or 100 ms of quiet: the shell would run it. */
static void screen_close(void)
{
    if (!term.screen) return;
    line_wipe();
    if (term.titled) fputs("\033[23;2t", stdout);
    put_out(stdout);
    net.entered = 0; /* no line is drawn any more */
    term.question = NULL;
    term.complete = term.ended = 0; /* ^D is no end of a paste */
    if (term.paste == PASTE_TAKEN) term.paste = PASTE_NONE;
    for (;;) {
        uint64_t until = clock_ms() + 100;
        while (term.input_at < term.input_len) {
            int key = key_of(term.input[term.input_at++]);
            if (key == KEY_PASTE) term.paste = PASTE_COMING;
            if (key == KEY_PASTED) term.paste = PASTE_NONE;
        }
        if (term.paste != PASTE_COMING || heard.interrupts > 1 || heard.stops > 1) break;
        while (term.input_at == term.input_len && !term.ended && clock_ms() < until) turn(until);
        if (term.input_at == term.input_len) break;
    }
    terminal_mode(MODE_SHELL);
    term.screen = 0;
}

static void finish(int status)
{
    screen_close();
    put_out(stdout);
    if (ferror(stdout) && status == 0) {
        fputs("client: the output cannot be written; was it closed?\n", stderr);
        status = 1;
    }
    put_out(stderr);
    exit(status);
}

/* ---- Showing ---- */

/* A sentence of the program's own and, if not empty, somebody's words after a colon. */
static void sentence(FILE *f, const char *mark, ocm_view words, const char *format, ...)
{
    va_list args;
    line_wipe();
    put_out(stdout);
    fputs(mark, f);
    va_start(args, format);
    vfprintf(f, format, args);
    va_end(args);
    if (words.len) fputs(": ", f);
    put_safe(f, words);
    fputs("\n", f);
    put_out(f);
}

/* Not among the messages, when those are read by a program. */
#define ASIDE (term.screen ? stdout : stderr)
#define inform(words, ...) sentence(ASIDE, "* ", words, __VA_ARGS__)
#define warn(...) sentence(stderr, "client: ", nothing, __VA_ARGS__)
#define die(status, ...) (warn(__VA_ARGS__), finish(status))

static void put_look(const char *look)
{
    if (term.colour) fputs(look, stdout);
}

/* The time, when the minute is another than when a line was last shown. */
static void put_minute(void)
{
    time_t t = time(NULL);
    struct tm *now = localtime(&t);
    if (!term.screen || !now || now->tm_hour * 60 + now->tm_min == term.minute) return;
    term.minute = now->tm_hour * 60 + now->tm_min;
    put_look(DIM);
    printf("%02d:%02d ", now->tm_hour, now->tm_min);
    put_look(PLAIN);
}

/* Everybody has a colour, always the same; one's own name is dim. */
static void put_name(ocm_view name, int own)
{
    char colour[16];
    unsigned hash = 0;
    size_t i;
    for (i = 0; i < name.len; i++) hash = hash * 31 + name.ptr[i];
    sprintf(colour, "\033[%s3%um", hash / 6 % 2 ? "1;" : "", 1 + hash % 6);
    put_look(own ? DIM : colour);
    put_safe(stdout, name);
    put_look(PLAIN);
    fputs(": ", stdout);
}

/* Writes a message. One's own name in it is bold; 1 if it is there. A name in ASCII must stand
   alone ("tom" is not called by "tomorrow"); others stand in scripts that may have no blanks. */
static int put_text(ocm_view text)
{
    ocm_view name = ocm_text(opt.name);
    size_t start = 0, end;
    int named = 0;
    for (end = name.len; end <= text.len; end++) {
        const uint8_t *p = text.ptr + end - name.len;
        if ((size_t)(p - text.ptr) < start || memcmp(p, name.ptr, name.len) != 0) continue;
        if (*p < 0x80 && ((p > text.ptr && (p[-1] >= 0x80 || isalnum(p[-1]))) ||
                          (end < text.len && (text.ptr[end] >= 0x80 || isalnum(text.ptr[end])))))
            continue;
        put_safe(stdout, view(text.ptr + start, (size_t)(p - text.ptr) - start));
        put_look(BOLD);
        put_safe(stdout, name);
        put_look(PLAIN);
        named = 1;
        start = end;
    }
    put_safe(stdout, view(text.ptr + start, text.len - start));
    return named;
}

static void show_past(int past)
{
    if (past == term.past) return;
    term.past = past;
    line_wipe();
    fputs(past ? "* earlier in this room:\n" : "* since you are here:\n", stdout);
}

/* A line of the chat: a message or, without a name, the server's words. */
static void show_line(const ocm_action *a, ocm_view name)
{
    if (a->past && !term.screen) return; /* a bot answers nothing of the past */
    show_past(a->past);
    line_wipe();
    if (!a->past) put_minute();
    if (name.len) put_name(name, a->own);
    else fputs("* ", stdout);
    if (!term.screen || a->own || !name.len) put_safe(stdout, a->text);
    else if (put_text(a->text) && !a->past) fputs("\a", stdout);
    fputs("\n", stdout);
    if (a->past && a->seq + 1 == net.present) show_past(0);
    put_out(stdout);
}

/* ---- Connecting ---- */

#define NO_HOST "there is no host \"%s\"; give the server's with -s"
#define NO_SERVER "no connection to %s, TCP port %s (%s): is ./server running there? " \
                  "Another address is given with -s"

static void watch_add(watch *w, socket_t s, fd_set *set)
{
    FD_SET(s, set);
    if ((int)s > w->top) w->top = (int)s;
}

/* 1 when the addresses of a server are known. */
static int look_up(place *p)
{
    struct addrinfo hints;
    if (p->addresses) return 1;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    heard.urgent = 1; /* this may take long, and no signal ends it */
    if (getaddrinfo(p->host, p->tcp, &hints, &p->addresses) != 0) p->addresses = NULL;
    heard.urgent = 0;
    return p->addresses != NULL;
}

static void link_close(tcp_link *l)
{
    while (l->count > 0) socket_close(l->tries[--l->count]);
    if (l->socket != INVALID_SOCKET) socket_close(l->socket);
    l->socket = INVALID_SOCKET;
    l->until = 0;
}

/* Begins to connect to the next address that takes it. */
static void link_next(tcp_link *l, uint64_t now)
{
    while (l->next && l->count < ADDRESSES_MAX) {
        const struct addrinfo *to = l->next;
        socket_t s = socket(to->ai_family, SOCK_STREAM, 0);
        l->next = to->ai_next;
        l->error = socket_error();
        if (s == INVALID_SOCKET) continue;
        if (socket_fits(s) && socket_nonblocking(s)) {
            int done = connect(s, to->ai_addr, (socklen)to->ai_addrlen) == 0;
            l->error = done ? 0 : socket_error();
            if (done || socket_connecting(l->error)) {
                l->to[l->count] = to;
                l->tries[l->count++] = s;
                l->again = now + STAGGER_MS;
                return;
            }
        }
        socket_close(s);
    }
}

static void link_open(tcp_link *l, const place *p)
{
    uint64_t now = clock_ms();
    link_close(l);
    l->next = p->addresses;
    l->until = now + CONNECT_MS;
    link_next(l, now);
}

/* A connection under way shows its end as writable or, when it fails on Windows, as failed. */
static void link_watch(const tcp_link *l, watch *w)
{
    int i;
    if (l->socket != INVALID_SOCKET) watch_add(w, l->socket, &w->readable);
    for (i = 0; i < l->count; i++) {
        watch_add(w, l->tries[i], &w->writable);
        watch_add(w, l->tries[i], &w->failed);
    }
}

/* 1 when it is connected now, with l->to[0] telling where; -1 when it cannot be; else 0. */
static int link_turn(tcp_link *l, const watch *w, uint64_t now)
{
    int i = 0;
    if (!l->until) return 0;
    while (i < l->count) {
        socket_t s = l->tries[i];
        const struct addrinfo *to = l->to[i];
        int error = 0;
        socklen len = sizeof error;
        if (!FD_ISSET(s, &w->writable) && !FD_ISSET(s, &w->failed)) {
            i++;
            continue;
        }
        getsockopt(s, SOL_SOCKET, SO_ERROR, (char *)&error, &len);
        l->tries[i] = l->tries[--l->count];
        l->to[i] = l->to[l->count];
        if (error == 0) {
            link_close(l);
            l->socket = s;
            l->to[0] = to;
            return 1;
        }
        socket_close(s);
        l->error = error;
        l->again = now;
    }
    if (now >= l->again || l->count == 0) link_next(l, now);
    if (l->count > 0 && now < l->until) return 0;
    if (l->count > 0) l->error = SOCKET_TIMEOUT;
    link_close(l);
    return -1;
}

/* > 0 bytes, 0 nothing now, -1 closed. */
static int link_read(tcp_link *l, const watch *w, uint8_t *p, size_t cap)
{
    int n;
    if (l->socket == INVALID_SOCKET || !FD_ISSET(l->socket, &w->readable)) return 0;
    n = socket_receive(l->socket, p, cap);
    return n > 0 ? n : n < 0 && socket_full(socket_error()) ? 0 : -1;
}

static void set_port(struct sockaddr_storage *ss, unsigned port)
{
    uint16_t p = htons((uint16_t)port);
    size_t at = ss->ss_family == AF_INET ? offsetof(struct sockaddr_in, sin_port)
                                         : offsetof(struct sockaddr_in6, sin6_port);
    memcpy((uint8_t *)ss + at, &p, sizeof p);
}

static void udp_close(void)
{
    if (net.udp != INVALID_SOCKET) socket_close(net.udp);
    net.udp = INVALID_SOCKET;
}

/* Receives datagrams at the address and port of the TCP connection, since a server may take either
   for ours. If the port is taken: at any other, which the JSON dialect can declare. Once in the
   room the socket stays, as long as the address does: something may be on the way to it. */
static int udp_open(void)
{
    struct sockaddr_storage local;
    socklen len = sizeof local;
    ocm_addr mine = addr_local(net.tcp.socket), old;
    if (net.udp != INVALID_SOCKET && net.entered) {
        old = addr_local(net.udp);
        if (memcmp(old.ip, mine.ip, sizeof mine.ip) == 0) return 1;
    }
    udp_close();
    memset(&local, 0, sizeof local);
    if (getsockname(net.tcp.socket, (struct sockaddr *)&local, &len) != 0) return 0;
    net.udp = socket(local.ss_family, SOCK_DGRAM, 0);
    if (net.udp == INVALID_SOCKET) return 0;
    if (socket_fits(net.udp) && socket_nonblocking(net.udp)) {
        if (bind(net.udp, (struct sockaddr *)&local, len) == 0) return 1;
        set_port(&local, 0);
        if (!opt.text && bind(net.udp, (struct sockaddr *)&local, len) == 0) return 1;
    }
    udp_close();
    return 0;
}

/* ---- Lists ---- */

/* One server's answer. */
typedef struct query {
    const place *of;
    tcp_link link;
    int asked, answered; /* asked: there was a connection; answered: the frame is whole */
    size_t len;
    ocm_frame frame;
    uint8_t buf[OCM_ANSWER_MAX + OCM_NAME_MAX];
} query;

/* At most one list is under way: all servers are asked at the same time, and meanwhile the chat
   goes on. */
static struct {
    query queries[PLACES_MAX];
    size_t count;                /* 0: no list is under way */
    char room[OCM_NAME_MAX + 1]; /* empty: all rooms */
    int counting;                /* only how many there are is shown */
    uint64_t until;
    unsigned long lines;
    int more, good, connected;   /* more: it was cut; good: every server answered */
} list;

static place *place_of(const char *room)
{
    ocm_view names[PLACES_MAX];
    size_t i;
    for (i = 0; i < net.place_count; i++) names[i] = ocm_text(net.places[i].name);
    return &net.places[ocm_pick(names, net.place_count, ocm_text(room))];
}

/* Asks for the rooms of all servers, or for a room's members. */
static void list_start(const char *room, int counting)
{
    place *first = *room ? place_of(room) : net.places;
    size_t i;
    for (i = 0; i < list.count; i++) link_close(&list.queries[i].link);
    list.count = *room ? 1 : net.place_count;
    list.counting = counting;
    list.until = clock_ms() + LIST_MS;
    strcpy(list.room, room);
    for (i = 0; i < list.count; i++) {
        query *q = &list.queries[i];
        memset(q, 0, offsetof(query, buf));
        q->of = first + i;
        q->link.socket = INVALID_SOCKET;
        if (look_up(first + i)) link_open(&q->link, q->of);
    }
}

/* Asks when there is a connection, and takes the answer: 1 while more is to come. */
static int query_turn(query *q, const watch *w, uint64_t now)
{
    int n, failed = 0;
    if (link_turn(&q->link, w, now) > 0) {
        ocm_request r;
        memset(&r, 0, sizeof r);
        r.op = OCM_LIST;
        r.room = ocm_text(list.room);
        if (*list.room && opt.password) r.password = ocm_text(opt.password);
        n = ocm_request_encode(q->buf, sizeof q->buf, &r);
        failed = n < 0 || socket_send(q->link.socket, q->buf, (size_t)n) != n;
        q->asked = 1;
    } else if ((n = link_read(&q->link, w, q->buf + q->len, sizeof q->buf - q->len)) != 0) {
        if (n > 0) n = ocm_frame_decode(q->buf, q->len += (size_t)n, OCM_LIST_MAX, &q->frame);
        q->answered = n > 0 && q->frame.op == OCM_LIST && q->frame.state == OCM_STATE_COMPLETE;
        failed = n != 0;
    }
    if (failed) link_close(&q->link);
    return q->link.until || q->link.socket != INVALID_SOCKET;
}

/* One line of a list. 0 if it is none. */
static int list_line(FILE *f, ocm_view json, unsigned long most)
{
    static uint8_t scratch[OCM_LIST_MAX];
    int table = f == stdout && !is_terminal(stdout);
    ocm_listed l;
    if (ocm_listed_decode(json, scratch, &l) < 0) return 0;
    if (l.more) return list.more = 1;
    if (!ocm_room_valid(l.room.len ? l.room : l.username)) return 0;
    if (l.username.len && opt.name) name_heard(l.username);
    if (++list.lines > most || list.counting) return 1;
    put_safe(f, l.room.len ? l.room : l.username);
    if (l.room.len && table)
        fprintf(f, "\t%llu\t%s", (unsigned long long)l.size, l.password ? "password" : "open");
    else if (l.room.len)
        fprintf(f, " (%llu %s%s)", (unsigned long long)l.size, l.size == 1 ? "member" : "members",
                l.password ? ", password" : "");
    else
        fputs(table ? l.host ? "\thost" : "\tmember" : l.host ? " (host)" : "", f);
    fputs("\n", f);
    return 1;
}

/* Shows what one server has answered, or says why there is nothing. */
static void list_place(FILE *f, const query *q, unsigned long most)
{
    const place *p = q->of;
    ocm_view rest = q->frame.payload;
    list.connected |= q->asked;
    list.good &= q->answered;
    if (list.counting && !q->answered) return;
    if (!p->addresses) warn(NO_HOST, p->host);
    else if (!q->asked) warn(NO_SERVER, p->host, p->tcp, socket_words(q->link.error));
    else if (!q->answered) warn("the server at %s, TCP port %s, gives no list", p->host, p->tcp);
    while (q->answered && rest.len > 0) {
        const uint8_t *stop = (const uint8_t *)memchr(rest.ptr, '\n', rest.len);
        ocm_view json = rest;
        if (stop) json.len = (size_t)(stop - rest.ptr);
        rest.ptr += json.len + (stop != NULL);
        rest.len -= json.len + (stop != NULL);
        if (list_line(f, json, most)) continue;
        list.good = 0;
        if (list.counting) return; /* nobody has asked */
        if (*list.room) warn("room \"%s\" does not exist", list.room);
        else warn("the list from %s cannot be read; is that a chat server?", p->name);
        return;
    }
}

static void list_end(void)
{
    FILE *f = opt.list ? stdout : ASIDE;
    int rows, columns;
    unsigned long most = (unsigned long)-1;
    size_t i;
    terminal_size(&rows, &columns);
    if (term.screen) most = rows > 6 ? (unsigned long)rows - 4 : 2;
    list.lines = 0;
    list.more = list.connected = 0;
    list.good = 1;
    line_wipe();
    for (i = 0; i < list.count; i++) {
        link_close(&list.queries[i].link);
        list_place(f, &list.queries[i], most);
    }
    list.count = 0;
    if (list.counting) {
        if (list.good && list.lines > 1)
            inform(nothing, "%lu members are here%s", list.lines, list.more ? " at least" : "");
    } else if (list.lines > most) {
        fprintf(f, "... and %lu more%s\n", list.lines - most, list.more ? " at least" : "");
    } else if (list.more) {
        warn("the list is longer than the server tells");
    } else if (list.good && list.lines == 0 && *list.room) {
        warn("room \"%s\" has a password, and names its members only to anyone who gives it (-p)",
             list.room);
    } else if (list.good && list.lines == 0 && is_terminal(f)) {
        fputs("no rooms yet\n", f);
    }
    put_out(f);
}

/* When all have answered, or the time is up, the list is shown. */
static void list_turn(const watch *w, uint64_t now)
{
    size_t i;
    int open = 0;
    for (i = 0; i < list.count; i++) open |= query_turn(&list.queries[i], w, now);
    if (list.count > 0 && (!open || now >= list.until)) list_end();
}

static void list_wait(const char *room)
{
    list_start(room, 0);
    while (list.count > 0) {
        turn(UINT64_MAX);
        follow_signals();
    }
}

/* ---- The plain text dialect (-t), for servers that know no other ----

   ocm.h's session does not speak it. Nothing is numbered, acknowledged or retransmitted, and
   nothing is sent but what the user says. */

#define ANSWER_MS 5000
#define TEXT_PAUSE_MS 25 /* between two messages: what is over a server's rate is lost */

static struct {
    int want, op;
    uint64_t until; /* ms: the answer has to be there; then: the next message may go */
    uint8_t in[OCM_FRAME_MAX], token[OCM_TOKEN_MAX];
    size_t in_len, token_len;
} text;

static void act(const ocm_action *a);

static void text_act(int kind, int end, int status)
{
    ocm_action a;
    memset(&a, 0, sizeof a);
    a.kind = kind;
    a.end = end;
    a.status = status;
    act(&a);
}

static void text_open(int want)
{
    memset(&text, 0, sizeof text);
    text.want = want;
    text.op = want == OCM_CREATE ? OCM_CREATE : OCM_JOIN;
    text.until = UINT64_MAX;
    text_act(OCM_DO_CONNECT, 0, 0);
}

static void text_connected(uint64_t now)
{
    static uint8_t out[OCM_FRAME_MAX];
    ocm_request q;
    int len;
    memset(&q, 0, sizeof q);
    q.op = text.op;
    q.dialect = OCM_DIALECT_TEXT;
    q.room = ocm_text(opt.room);
    q.name = ocm_text(opt.name);
    len = ocm_request_encode(out, sizeof out, &q);
    text.in_len = 0;
    text.until = now + ANSWER_MS;
    if (socket_send(net.tcp.socket, out, (size_t)len) != len)
        text_act(OCM_END, OCM_END_NO_ANSWER, 0);
}

/* The outcome of the request. A room that is not there is created on another connection, since
   some servers read only one request on each. */
static void text_answer(int status)
{
    if (status == 404 && text.want == OCM_JOIN_OR_CREATE && text.op == OCM_JOIN) {
        text.op = OCM_CREATE;
        text.until = UINT64_MAX;
        text_act(OCM_DO_CONNECT, 0, 0);
    } else if (status >= 300) {
        text_act(OCM_END, status == 404 ? OCM_END_NO_ROOM : status == 401 ? OCM_END_PASSWORD
                          : status == 503 ? OCM_END_FULL : status != 409 ? OCM_END_REFUSED
                          : text.op == OCM_CREATE ? OCM_END_ROOM_EXISTS : OCM_END_NAME_TAKEN,
                 status);
    } else {
        text.until = 0;
        text_act(OCM_DO_DISCONNECT, 0, 0);
        text_act(OCM_SHOW_ENTERED, 0, text.op == OCM_CREATE ? 201 : 200);
    }
}

static void text_received(const uint8_t *p, size_t len)
{
    static const int of_byte[] = {100, 409, 404, 401, 400, 503, 409}; /* 100: the token follows */
    static uint8_t scratch[OCM_FRAME_MAX];
    size_t used = 0;
    ocm_frame f;
    ocm_outcome o;
    int n = len > 0 && len <= sizeof text.in - text.in_len, status;
    if (n) memcpy(text.in + text.in_len, p, len);
    if (n) text.in_len += len;
    while (n > 0) {
        n = ocm_frame_decode(text.in + used, text.in_len - used, OCM_PAYLOAD_MAX, &f);
        if (n == 0) return;
        if (n < 0) break;
        used += (size_t)n;
        if (f.state == OCM_STATE_ACK && f.payload.len == 1) {
            uint8_t byte = f.payload.ptr[0];
            status = byte < 7 ? of_byte[byte] : byte == 200 ? 100 : 400;
        } else if (f.state == OCM_STATE_COMPLETE && ocm_outcome_decode(&f, scratch, &o) > 0) {
            status = (int)o.status;
            if (status < 300) memcpy(text.token, o.token.ptr, text.token_len = o.token.len);
        } else {
            break;
        }
        if (status > 100) {
            text_answer(status);
            return;
        }
    }
    text_act(OCM_END, text.until == UINT64_MAX ? OCM_END_NO_SERVER : OCM_END_NO_ANSWER, 0);
}

/* "alice: hi", or the server's own words; with a header or without one: a header is one whose room
   and token are our own. */
static void text_datagram(const uint8_t *p, size_t len)
{
    static const char host_left[] = "You have been disconnected: the host left";
    ocm_datagram d;
    ocm_action a;
    size_t i;
    memset(&a, 0, sizeof a);
    a.kind = OCM_SHOW_NOTICE;
    a.text = view(p, len);
    if (ocm_datagram_decode(p, len, &d) > 0 && ocm_view_equal(d.room, ocm_text(opt.room)) &&
        ocm_view_equal(d.token, view(text.token, text.token_len)))
        a.text = d.payload;
    for (i = 0; i + 1 < a.text.len; i++) {
        if (a.text.ptr[i] != ':' || a.text.ptr[i + 1] != ' ') continue;
        a.name = view(a.text.ptr, i);
        a.text = view(a.text.ptr + i + 2, a.text.len - i - 2);
        if (!ocm_view_equal(a.name, ocm_text("system"))) a.kind = OCM_SHOW_MESSAGE;
        break;
    }
    if (a.kind == OCM_SHOW_NOTICE && a.text.len >= 26 && memcmp(a.text.ptr, host_left, 26) == 0) {
        a.kind = OCM_END;
        a.end = ocm_view_equal(a.text, ocm_text(host_left)) ? OCM_END_HOST : OCM_END_REMOVED;
    }
    act(&a);
}

static int text_say(ocm_view v)
{
    static uint8_t out[OCM_DATAGRAM_MAX];
    ocm_view room = ocm_text(opt.room);
    ocm_action a;
    if (v.len == 0 || !ocm_message_valid(v)) return OCM_E_BAD;
    if (v.len + room.len + strlen(opt.name) > OCM_TEXT_MAX) return OCM_E_LARGE;
    if (clock_ms() < text.until) return OCM_E_FULL;
    text.until = clock_ms() + TEXT_PAUSE_MS;
    memset(&a, 0, sizeof a);
    a.kind = OCM_DO_SEND;
    a.text = view(out, (size_t)ocm_datagram_encode(out, sizeof out, room,
                                                   view(text.token, text.token_len), v));
    act(&a);
    a.kind = OCM_SHOW_MESSAGE;
    a.own = 1;
    a.name = ocm_text(opt.name);
    a.text = v;
    act(&a);
    return 1;
}

/* ---- The session, in either dialect ---- */

static int talk_say(ocm_view v)
{
    return opt.text ? text_say(v) : ocm_session_say(&session, v);
}

static void talk_leave(void)
{
    net.leaving = 1;
    if (opt.text) text_act(OCM_END, OCM_END_LEFT, 0);
    else ocm_session_leave(&session);
}

/* len 0: there is no connection, or it has ended. */
static void talk_received(const uint8_t *p, size_t len, uint64_t now)
{
    if (len == 0) link_close(&net.tcp);
    if (opt.text) text_received(p, len);
    else ocm_session_received(&session, p, len, now);
}

/* The text dialect cannot name another UDP port: it connects again, from another one. */
static void talk_connected(uint64_t now)
{
    const struct addrinfo *to = net.tcp.to[0];
    ocm_addr mine;
    memset(&net.to, 0, sizeof net.to);
    memcpy(&net.to, to->ai_addr, to->ai_addrlen);
    net.to_len = (socklen)to->ai_addrlen;
    set_port(&net.to, (unsigned)atoi(net.home->udp));
    if (udp_open()) {
        mine = addr_local(net.udp);
        if (opt.text) text_connected(now);
        else ocm_session_connected(&session, ocm_text(addr_ip(&mine)), mine.port, now);
    } else if (opt.text && net.redials++ < 20) {
        link_open(&net.tcp, net.home);
    } else {
        talk_received(NULL, 0, now);
    }
}

static void talk_turn(const watch *w, uint64_t now)
{
    static uint8_t buf[OCM_FRAME_MAX];
    struct sockaddr_storage ss;
    ocm_addr from, server;
    int n = link_turn(&net.tcp, w, now);
    if (n > 0) talk_connected(now);
    else if (n < 0 || (n = link_read(&net.tcp, w, buf, sizeof buf)) != 0)
        talk_received(buf, n > 0 ? (size_t)n : 0, now);
    if (net.udp == INVALID_SOCKET || !FD_ISSET(net.udp, &w->readable)) return;
    n = socket_receive_from(net.udp, buf, OCM_DATAGRAM_MAX + 1, 0, &ss);
    if (n < 0) return;
    from = addr_of(&ss);
    server = addr_of(&net.to);
    if (!ocm_same_host(&from, &server)) return;
    if (!opt.text) ocm_session_datagram(&session, buf, (size_t)n, now);
    else if (net.entered) text_datagram(buf, (size_t)n);
}

/* ---- Input ---- */

static const char *const commands[][2] = {
    {"/who", "lists who is here"},        {"/rooms", "lists the rooms"},
    {"/me", "X says *X*"},                {"/leave", "leaves, like ^C"},
    {"/help", "this; and //X says /X, and Tab completes a name"},
    {"/nick", NULL},                      {"/quit", NULL}};

/* How many letters make the difference (Levenshtein). b: at most 15 bytes. */
static int distance(const char *a, const char *b)
{
    int row[16], i, j;
    for (j = 0; j == 0 || b[j - 1]; j++) row[j] = j;
    for (i = 0; a[i]; i++) {
        int corner = row[0];
        row[0] = i + 1;
        for (j = 1; b[j - 1]; j++) {
            int best = corner + (a[i] != b[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            corner = row[j];
            row[j] = best;
        }
    }
    return row[strlen(b)];
}

/* Carries out a command. 1, or what saying it returned. */
static int command(ocm_view words)
{
    static char said[LINE_MAX_LEN + 3];
    const char *nearest = commands[0][0];
    char word[16];
    size_t len = 0, rest, i;
    for (; len < words.len && words.ptr[len] != ' ' && len < sizeof word - 1; len++)
        word[len] = (char)tolower(words.ptr[len]);
    word[len] = 0;
    for (rest = len; rest < words.len && words.ptr[rest] == ' '; rest++) {
    }
    for (i = 1; i < sizeof commands / sizeof commands[0]; i++)
        if (distance(word, commands[i][0]) < distance(word, nearest)) nearest = commands[i][0];
    if (strcmp(word, nearest) != 0) {
        inform(nothing, "no such command; did you mean %s? To say a line with / first, begin it "
                        "with //", nearest);
    } else if (strcmp(word, "/leave") == 0 || strcmp(word, "/quit") == 0) {
        talk_leave();
    } else if (strcmp(word, "/who") == 0) {
        list_start(opt.room, 0);
    } else if (strcmp(word, "/rooms") == 0) {
        list_start("", 0);
    } else if (strcmp(word, "/nick") == 0) {
        inform(nothing, "a name stays as long as you are in the room; /leave, and come back with "
                        "-n NAME");
    } else if (strcmp(word, "/me") == 0 && rest < words.len) {
        int n = sprintf(said, "*%.*s*", OCM_S(view(words.ptr + rest, words.len - rest)));
        return talk_say(view(said, (size_t)n));
    } else {
        for (i = 0; i < sizeof commands / sizeof commands[0]; i++)
            if (commands[i][1]) inform(nothing, "%-6s  %s", commands[i][0], commands[i][1]);
    }
    return 1;
}

/* Says the line that is complete. 0 if that has to wait. */
static int line_say(void)
{
    int slash = term.keyboard && term.len > 0 && term.line[0] == '/';
    int twice = slash && term.len > 1 && term.line[1] == '/', result = 1;
    ocm_view v = view(term.line + twice, term.len - (size_t)twice);
    size_t most = opt.text ? OCM_TEXT_MAX - strlen(opt.room) - strlen(opt.name)
                           : ocm_session_text_max(&session);
    if (term.len > 0 && term.lost) result = OCM_E_LARGE;
    else if (slash && !twice) result = command(v);
    else if (term.len > 0) result = talk_say(v);
    if (result == OCM_E_FULL) return 0;
    if (result == OCM_E_LARGE)
        warn("the message is too long: %lu bytes, at most %lu are possible",
             (unsigned long)(term.len + term.lost), (unsigned long)most);
    else if (result < 0)
        warn("the message is not text: it has control characters or is not UTF-8");
    if (result < 0 && !term.screen) net.refused++;
    if (result > 0 && term.screen && term.len) history_add();
    /* what was refused is to be mended, but after a line of a paste the next one comes at once */
    if (result > 0 || !term.screen || term.paste == PASTE_TAKEN) line_clear();
    term.complete = term.drawn = 0;
    return 1;
}

/* Takes lines from the input as fast as the session takes messages. */
static void take_lines(void)
{
    while (!net.leaving && line_take())
        if (!line_say()) return;
    if (term.ended && !net.leaving) talk_leave();
}

/* Lines that were read and not said. */
static unsigned long lines_left(void)
{
    unsigned long lines = term.complete || (!term.keyboard && term.len > 0);
    if (!term.keyboard) lines += lines_in(term.input, term.input_at, term.input_len);
    if (term.paste == PASTE_TAKEN) lines += lines_in(term.pasted, term.pasted_at, term.pasted_len);
    return lines;
}

/* Asks whoever sits at the terminal, and waits. What `answer` (LINE_MAX_LEN + 1 bytes) holds can
   be edited, so that nothing has to be typed twice. */
static void ask(const char *question, char *answer, int hidden)
{
    line_clear();
    term.question = question;
    term.hidden = hidden;
    if (term.screen) line_insert(answer, hidden ? 0 : strlen(answer));
    else fputs(question, stderr);
    put_out(stderr);
    if (!term.screen && hidden) terminal_mode(MODE_SILENT);
    while (!line_take() && !term.ended) {
        turn(UINT64_MAX);
        follow_signals();
    }
    line_draw();
    if (!term.screen && hidden) terminal_mode(MODE_SHELL);
    if (term.screen || hidden) fputs("\n", ASIDE);
    term.question = NULL;
    term.hidden = 0;
    term.before = 0;
    if (!term.complete) finish(net.status);
    memcpy(answer, term.line, term.len);
    answer[term.len] = 0;
    line_clear();
}

/* ---- Loop ---- */

static void entered(int status)
{
    net.entered = 1;
    inform(nothing, "%s \"%s\" as \"%s\"", status == 201 ? "created" : "joined", opt.room,
           opt.name);
    if (!term.screen) return;
    if (term.titled) printf("\033]2;%s\007", opt.room);
    if (status == 201) inform(nothing, "the room closes when you leave");
    else if (!opt.text && list.count == 0) list_start(opt.room, 1);
}

/* Why the session has ended, as a sentence for a person. */
static void farewell(const ocm_action *a)
{
    const place *p = net.home;
    switch (a->end) {
    case OCM_END_UNCONFIRMED: warn("the server %s did not confirm that you left", p->name); break;
    case OCM_END_HOST:
    case OCM_END_REMOVED:
        if (a->text.len) show_line(a, nothing);
        else inform(nothing, "you have been removed from the room");
        break;
    case OCM_END_NO_SERVER: warn(NO_SERVER, p->host, p->tcp, socket_words(net.tcp.error)); break;
    case OCM_END_NO_ANSWER:
        warn("no answer from a chat server at %s, TCP port %s; is that another program's port? "
             "Another address is given with -s", p->host, p->tcp);
        break;
    case OCM_END_NO_ROOM: warn("room \"%s\" does not exist (-c creates it)", opt.room); break;
    case OCM_END_ROOM_EXISTS: warn("room \"%s\" exists already (-j joins it)", opt.room); break;
    case OCM_END_NAME_TAKEN:
        warn("the name \"%s\" is taken in room \"%s\" (-n gives another)", opt.name, opt.room);
        break;
    case OCM_END_PASSWORD:
        warn(*opt.password ? "wrong password for room \"%s\""
                           : "room \"%s\" has a password (-p asks for it)", opt.room);
        break;
    case OCM_END_FULL: warn("the server is full; try again later"); break;
    case OCM_END_REFUSED:
        warn("the server refused room \"%s\" for \"%s\" (%d)", opt.room, opt.name, a->status);
        if (a->text.len) inform(a->text, "it says");
        break;
    default: break;
    }
}

/* 1 if asking whoever sits at the terminal may mend how the session has ended. */
static int can_mend(void)
{
    return term.keyboard && (net.end == OCM_END_NO_ROOM || net.end == OCM_END_ROOM_EXISTS ||
                             net.end == OCM_END_NAME_TAKEN || net.end == OCM_END_PASSWORD);
}

/* The session is over. */
static void ended(const ocm_action *a)
{
    static char draft[LINE_MAX_LEN + 1];
    unsigned long left = lines_left(), unknown = (unsigned long)a->count;
    int stays = term.screen && net.entered && !net.leaving;
    link_close(&net.tcp);
    udp_close();
    line_wipe();
    net.over = 1;
    net.end = net.entered ? OCM_END_LEFT : a->end;
    net.entered = 0; /* no line is drawn any more */
    farewell(a);
    if (can_mend()) return;
    if (net.refused) warn("messages of yours that were refused: %lu", net.refused);
    if (unknown) warn("messages of yours that nobody knows to have arrived: %lu", unknown);
    if (left) warn("lines that were not said: %lu", left);
    net.status = (a->end != OCM_END_LEFT && a->end != OCM_END_UNCONFIRMED &&
                  a->end != OCM_END_HOST) || net.refused || unknown || left;
    if (!stays) return;
    term.line[term.len] = 0;
    strcpy(draft, term.line);
    if (term.paste != PASTE_COMING) term.paste = PASTE_NONE;
    ask("Enter ends: ", draft, 0); /* whoever is typing must not type on into the shell */
}

/* Carries out what the session wants. */
static void act(const ocm_action *a)
{
    switch (a->kind) {
    case OCM_DO_CONNECT: link_open(&net.tcp, net.home); break;
    case OCM_DO_REQUEST:
        if (socket_send(net.tcp.socket, a->text.ptr, a->text.len) != (int)a->text.len)
            talk_received(NULL, 0, clock_ms());
        break;
    case OCM_DO_DISCONNECT: link_close(&net.tcp); break;
    case OCM_DO_SEND:
        if (net.udp != INVALID_SOCKET)
            socket_send_to(net.udp, a->text.ptr, a->text.len, (struct sockaddr *)&net.to,
                           net.to_len);
        break;
    case OCM_SHOW_ENTERED:
        net.present = a->seq;
        entered(a->status);
        break;
    case OCM_SHOW_MESSAGE:
        name_heard(a->name);
        if (term.screen || !a->own) show_line(a, a->name);
        break;
    case OCM_SHOW_JOINED: name_heard(a->name); /* fall through */
    case OCM_SHOW_LEFT:
    case OCM_SHOW_NOTICE: show_line(a, nothing); break;
    case OCM_SHOW_REFUSED:
        net.refused++;
        inform(a->text, "the server refused this message");
        if (a->why.len) inform(a->why, "it says");
        break;
    case OCM_SHOW_UNKNOWN: inform(a->text, "nobody knows whether this message arrived"); break;
    case OCM_SHOW_MISSED:
        inform(nothing, "messages that were missed and cannot be had any more: %llu",
               (unsigned long long)a->count);
        break;
    case OCM_SHOW_OUTAGE: inform(a->text, "the server does not answer; trying to come back"); break;
    case OCM_SHOW_NO_UDP:
        inform(nothing, "the server answers by TCP, but nothing comes from its UDP port %s; is it "
                        "right, and does no firewall block it?", net.home->udp);
        break;
    case OCM_SHOW_BACK: inform(nothing, "the server is back"); break;
    case OCM_END: ended(a); break;
    default: break;
    }
}

/* ^C with text in the line clears it. Otherwise it leaves, like any other signal that ends
   programs, and at the second one the program ends where it stands. */
static void follow_signals(void)
{
    int count = heard.interrupts + heard.stops;
    if (count == net.signals) return;
    if (!net.entered || net.signals > 0) finish(130);
    if (heard.stops == 0 && term.screen && (term.len > 0 || term.paste)) {
        heard.interrupts = 0;
        term.paste = PASTE_NONE;
        line_clear();
        return;
    }
    net.signals = count;
    talk_leave();
}

/* Waits until something happens, and takes what has come: the only place that waits. */
static void turn(uint64_t until)
{
    static uint64_t window; /* of 16 ms */
    static int turns;       /* in it */
    watch w;
    struct timeval t = {0, 0};
    uint64_t now = clock_ms(), ms;
    int wanted = !term.ended && !term.complete && term.input_at == term.input_len &&
                 term.paste != PASTE_TAKEN, n;
    size_t i;
    if (term.screen && heard.resumed) { /* the shell has set its own modes meanwhile */
        heard.resumed = 0;
        terminal_mode(MODE_KEYS);
        fputs("\033[?2004h", stdout); /* marks around what is pasted */
        put_out(stdout);
        term.drawn = 0;
    }
    line_draw();
    turns = window == now / 16 ? turns + 1 : 0;
    window = now / 16;
    if (turns > 100) wait_ms(10); /* a call fails again and again: not at full speed */
    memset(&w, 0, sizeof w);
    w.top = -1;
    link_watch(&net.tcp, &w);
    for (i = 0; i < list.count; i++) link_watch(&list.queries[i].link, &w);
    if (net.udp != INVALID_SOCKET) watch_add(&w, net.udp, &w.readable);
    if (wanted && INPUT_SOCKET != INVALID_SOCKET) watch_add(&w, INPUT_SOCKET, &w.readable);
    ms = until <= now ? 0 : until - now < TURN_MS ? until - now : TURN_MS;
    t.tv_usec = (int)ms * 1000;
    if (w.top < 0) {
        wait_ms(ms);
        t.tv_usec = 0;
    }
    if (select(w.top + 1, &w.readable, &w.writable, &w.failed, &t) <= 0) memset(&w, 0, sizeof w);
    if (wanted && (INPUT_SOCKET == INVALID_SOCKET || FD_ISSET(INPUT_SOCKET, &w.readable))) {
        n = input_read(term.screen, term.input, sizeof term.input);
        term.input_at = 0;
        term.input_len = n > 0 ? (size_t)n : 0;
        if (n < 0) term.ended = 1;
    }
    now = clock_ms();
    list_turn(&w, now);
    talk_turn(&w, now); /* last: it may end the session, and ask, and so wait */
}

/* Carries out what the session wants; ms: when it is to be called again. */
static uint64_t talk_next(uint64_t now)
{
    size_t pending = opt.text ? 0 : ocm_session_pending(&session);
    ocm_action a;
    if (pending < net.pending || net.pending == 0) net.pending_since = now;
    net.pending = pending;
    if (opt.text && now < text.until) return text.until;
    if (opt.text && !net.entered) text_act(OCM_END, OCM_END_NO_ANSWER, 0);
    if (opt.text) return UINT64_MAX;
    while (ocm_session_next(&session, now, &a)) act(&a);
    return a.until;
}

static void chat(void)
{
    net.over = 0;
    while (!net.over) {
        uint64_t until = talk_next(clock_ms());
        if (!net.over) turn(until);
        if (net.over) break;
        follow_signals();
        if (net.entered) take_lines();
        if (ferror(stdout) && !net.leaving) talk_leave(); /* nobody reads us any more */
    }
}

/* ---- Main ---- */

static const char usage[] =
    "usage: client [-s HOST[/TCP:UDP]]... [-n NAME] [-p] [-t] [-c ROOM | -j ROOM | ROOM]\n"
    "       client [-s HOST[/TCP:UDP]]... [-p] -l [ROOM]\n"
    "  -s  the server (default 127.0.0.1/8000:9000); of several the room's name tells which one\n"
    "      has the room, the same for everyone who names the same servers, in any order\n"
    "  -n  your name\n"
    "  -c  create a room                -j  join a room             ROOM alone: join or create it\n"
    "  -l  list the rooms, or the members of one, and end\n"
    "  -p  ask for the room's password, or take it from OCM_PASSWORD in the environment\n"
    "  -t  speak the plain text dialect, which other servers may want\n"
    "  -h, --help  this text            -V, --version  the version\n";

/* HOST[/TCP:UDP]. The same server once more is passed over. */
static void add_place(const char *arg)
{
    place p = {"", "8000", "9000", "", NULL};
    char more, *colon, *c;
    size_t len, i;
    int n = sscanf(arg, "%255[^/]/%5[0-9]:%5[0-9]%c", p.host, p.tcp, p.udp, &more);
    int tcp = atoi(p.tcp), udp = atoi(p.udp);
    len = strlen(p.host);
    if (n == 1 && arg[len]) n = 0;
    if (len > 1 && p.host[0] == '[' && p.host[len - 1] == ']') { /* [::1], as in a URL */
        memmove(p.host, p.host + 1, len - 2);
        p.host[len - 2] = 0;
    }
    colon = strchr(p.host, ':');
    if ((n != 1 && n != 3) || p.host[0] == '[' || (colon && colon == strrchr(p.host, ':')))
        die(2, "-s %s: write HOST or HOST/TCP:UDP, for example -s 127.0.0.1/8000:9000", arg);
    if (tcp < 1 || tcp > 65535 || udp < 1 || udp > 65535)
        die(2, "-s %s: a port is a number from 1 to 65535, as in 127.0.0.1/8000:9000", arg);
    /* looked up as it is hashed: some systems tell capitals apart in /etc/hosts */
    for (c = p.host; *c && *c != '%'; c++) /* after % comes the name of an interface */
        *c = (char)tolower((unsigned char)*c);
    sprintf(p.name, "%s/%d:%d", p.host, tcp, udp);
    for (i = 0; i < net.place_count; i++)
        if (strcmp(net.places[i].name, p.name) == 0) return;
    if (net.place_count == PLACES_MAX)
        die(2, "-s %s: at most %d servers; leave one out", arg, PLACES_MAX);
    net.places[net.place_count++] = p;
}

static void set_room(const char *room, int want)
{
    if (opt.room)
        die(2, "one room at a time: \"%s\" or \"%s\"; if that is one name with a blank, quote it: "
            "\"%s %s\"", opt.room, room, opt.room, room);
    opt.room = room;
    opt.want = want;
}

static void read_options(int argc, char **argv)
{
    int i;
    for (i = 1; i < argc; i++) {
        const char *arg = argv[i];
        int letter = arg[0] == '-' && arg[1] && !arg[2] ? arg[1] : 0;
        if (letter == 'h' || strcmp(arg, "--help") == 0) {
            fputs(usage, stdout);
            finish(0);
        }
        if (letter == 'V' || strcmp(arg, "--version") == 0) {
            printf("client %s\n", OCM_VERSION);
            finish(0);
        }
        if (letter == 'l') opt.list = 1;
        else if (letter == 'p') opt.ask_password = 1;
        else if (letter == 't') opt.text = 1;
        else if (arg[0] != '-') set_room(arg, OCM_JOIN_OR_CREATE);
        else if (!letter || !strchr("sncj", letter))
            die(2, "unknown option \"%s\"; see client -h", arg);
        else if (i + 1 == argc) die(2, "-%c wants a value; see client -h", letter);
        else if (letter == 's') add_place(argv[++i]);
        else if (letter == 'n') opt.name = argv[++i];
        else set_room(argv[++i], letter == 'c' ? OCM_CREATE : OCM_JOIN);
    }
    if (net.place_count == 0) add_place("127.0.0.1");
}

/* A session has a name and a room. Our own rules for them are stricter than the protocol's: other
   ones are mistaken for the program's words, or for each other. */
enum { NAME, ROOM };

static const struct {
    const char *word, *rule, *question;
} needs[] = {
    {"name", "1 to 255 bytes, no control characters, no \": \", no blank at either end, no \"* \" "
             "at the start, not \"system\"", "name: "},
    {"room", "1 to 255 bytes, no control characters, no blank at either end",
     "room to join or create: "}};

static int fits(int need, const char *s)
{
    if (!*s || *s == ' ' || s[strlen(s) - 1] == ' ') return 0;
    if (need == ROOM) return ocm_room_valid(ocm_text(s));
    return ocm_name_valid(ocm_text(s)) && strncmp(s, "* ", 2) != 0;
}

/* Asks until it fits; what there is can be mended. An empty name is the user's on this machine. */
static void ask_for(int need)
{
    static char answers[2][LINE_MAX_LEN + 1];
    char question[64], *answer = answers[need];
    const char **value = need == NAME ? &opt.name : &opt.room, *user = environment("USER");
    if (need == ROOM || !user || !fits(NAME, user) || strlen(user) > 40) user = NULL;
    if (user) sprintf(question, "name [%s]: ", user);
    if (*value && *value != answer) snprintf(answer, sizeof answers[0], "%s", *value);
    for (;;) {
        ask(user ? question : needs[need].question, answer, 0);
        if (!*answer && user) strcpy(answer, user);
        if (fits(need, answer)) break;
        warn("that cannot be a %s: %s", needs[need].word, needs[need].rule);
    }
    *value = answer;
}

/* What the command line does not say is asked for; on a pipe there is nobody to ask. */
static void require(int need)
{
    const char *value = need == NAME ? opt.name : opt.room;
    if (value && fits(need, value)) return;
    if (value)
        warn("\"%s\" cannot be a %s: %s", value, needs[need].word, needs[need].rule);
    else if (!term.keyboard)
        warn("no %s; give one: client -n NAME ROOM", needs[need].word);
    if (!term.keyboard) finish(2);
    ask_for(need);
}

/* A new one is asked for twice, since nobody sees what is typed. */
static void ask_password(int new_one)
{
    static char answer[LINE_MAX_LEN + 1], again[LINE_MAX_LEN + 1];
    opt.password = answer;
    for (;;) {
        ask(new_one ? "new password: " : "password: ", answer, 1);
        if (!new_one) return;
        if (!*answer) {
            inform(nothing, "without a password the room is open to everybody");
            return;
        }
        ask("once more: ", again, 1);
        if (strcmp(answer, again) == 0) return;
        warn("those two are not the same");
    }
}

static void find_password(void)
{
    opt.password = opt.ask_password ? environment("OCM_PASSWORD") : "";
    if (opt.password) return;
    if (!term.keyboard)
        die(2, "-p on a pipe takes the password from OCM_PASSWORD in the environment, "
            "and it is not set");
    ask_password(opt.want == OCM_CREATE);
}

/* Chats; when a session has ended before it began, asks for what may mend that. If a password was
   asked for, a room is joined first: the password of one that has to be created is a new one. */
static void stay(void)
{
    int careful = opt.ask_password && opt.want == OCM_JOIN_OR_CREATE && term.keyboard &&
                  !environment("OCM_PASSWORD");
    int want = careful ? OCM_JOIN : opt.want;
    for (;;) {
        net.home = place_of(opt.room);
        if (!look_up(net.home)) die(1, NO_HOST, net.home->host);
        if (ocm_session_open(&session, want, ocm_text(opt.room), ocm_text(opt.name),
                             ocm_text(opt.password)) < 0)
            die(2, "the password is too long or not UTF-8: at most %d bytes", OCM_NAME_MAX);
        if (opt.text) text_open(want);
        chat();
        if (!can_mend()) return;
        if (net.end == OCM_END_NAME_TAKEN) {
            ask_for(NAME);
        } else if (net.end == OCM_END_PASSWORD) {
            ask_password(0);
        } else if (net.end == OCM_END_NO_ROOM && careful) {
            ask_password(1);
            want = OCM_CREATE;
        } else {
            ask_for(ROOM);
            want = careful ? OCM_JOIN : OCM_JOIN_OR_CREATE;
        }
    }
}

int main(int argc, char **argv)
{
    const char *no_color;
    int skill = terminal_skill();
    if (!platform_start()) {
        fputs("client: the system gives no sockets\n", stderr);
        return 1;
    }
    standard_start(&argc, &argv);
    setvbuf(stdout, NULL, _IOFBF, 65536);
    setvbuf(stderr, NULL, _IOFBF, 4096); /* a sentence leaves in one piece */
    net.tcp.socket = net.udp = INVALID_SOCKET;
    term.minute = -1;
    read_options(argc, argv);
    signals_start();
    term.keyboard = is_terminal(stdin);
    if (opt.list) {
        if (opt.want != OCM_JOIN_OR_CREATE) die(2, "-l only lists; leave out -c and -j");
        if (opt.room && !ocm_room_valid(ocm_text(opt.room)))
            die(2, "\"%s\" cannot be a room: %s", opt.room, needs[ROOM].rule);
        find_password();
        list_wait(opt.room ? opt.room : "");
        finish(!list.good);
    }
    no_color = environment("NO_COLOR");
    term.screen = term.keyboard && is_terminal(stdout) && skill > 0;
    term.titled = term.screen && skill > 1;
    term.colour = term.screen && !(no_color && *no_color);
    if (term.titled) fputs("\033[22;2t", stdout); /* the window's title is kept */
    heard.resumed = 1; /* from now on the terminal is ours */
    if (term.keyboard && !opt.text && (!opt.name || !opt.room)) {
        list_wait(""); /* no server: that is told before anything is asked */
        if (!list.connected) finish(1);
    }
    require(NAME);
    require(ROOM);
    find_password();
    stay();
    finish(net.status);
    return 0;
}
