/* client.c - a chat client: one select() loop around ocm.h

   cc -o client client.c              (Windows: gcc -o client client.c -lws2_32)
   ./client                           asks for all that it needs
   ./client -n alice lobby            joins "lobby" on this machine, or creates it
   echo hi | ./client -n bot lobby    on a pipe each line is a message, each message a line
   ./client -h                        all options

   What is said on the wire, retransmitted and put in order is decided in ocm.h. Here are sockets,
   time and the terminal: first everything that differs between systems, then what is shown, the
   line editor, connecting, lists, the text dialect, the session, input, questions, the loop. */

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
/* ---- Platform: stdin, stdout, signals. Every other #ifdef of this file is above. ---- */

#include <ctype.h>
#include <limits.h>

/* Whether we are in the room, or have asked to leave it; and the signal that came, or 0. Only
   inside there is something to do for it; elsewhere it ends the program at once. */
enum { OUTSIDE, INSIDE, LEAVING };
static volatile sig_atomic_t stage, heard;

/* keys_on saves the window's title and asks for marks around what is pasted; keys_off wipes the
   line and undoes both. */
static const char keys_on[] = "\033[22;2t\033[?2004h";
static const char keys_off[] = "\r\033[J\033[?2004l\033[23;2t";

static int terminal_keys(int on);

static void on_signal(int sig)
{
    if (sig != SIGINT || !heard) heard = sig;
    if (stage == INSIDE) return;
    terminal_keys(0);
    _Exit(130);
}

#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#include <shellapi.h>
#define TURN_MS 50 /* the longest sleep: select() knows nothing of stdin, it is tried every turn */
#define INPUT_SOCKET INVALID_SOCKET

static int is_terminal(FILE *f)
{
    DWORD mode;
    return GetConsoleMode((HANDLE)_get_osfhandle(_fileno(f)), &mode) != 0;
}

static int socket_connecting(int e) { return e == WSAEWOULDBLOCK; }
static void suspend(void) {}

#define environment(name) utf8_copy(_wgetenv(L##name))
#define USUAL_TERM "a console"

static char *utf8_copy(const WCHAR *wide)
{
    size_t cap = wide ? wcslen(wide) * 3 + 1 : 0;
    char *copy = wide ? (char *)calloc(cap, 1) : NULL;
    if (wide && !copy) exit(1);
    if (copy) WideCharToMultiByte(CP_UTF8, 0, wide, -1, copy, (int)cap, NULL, NULL);
    return copy;
}

/* The arguments become UTF-8, and what is written leaves as it is. The system forgets a handler
   that it has called: the second signal ends the program. */
static void program_start(int *argc, char ***argv)
{
    WCHAR **wide = CommandLineToArgvW(GetCommandLineW(), argc);
    HANDLE out = GetStdHandle(STD_OUTPUT_HANDLE);
    DWORD mode;
    int i;
    *argv = (char **)calloc((size_t)*argc + 1, sizeof **argv);
    if (!wide || !*argv) exit(1);
    for (i = 0; i < *argc; i++) (*argv)[i] = utf8_copy(wide[i]);
    _setmode(_fileno(stdout), _O_BINARY);
    _setmode(_fileno(stderr), _O_BINARY);
    SetConsoleOutputCP(CP_UTF8);
    if (GetConsoleMode(out, &mode))
        SetConsoleMode(out, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    signal(SIGBREAK, on_signal);
}

static int terminal_keys(int on)
{
    static volatile int are_on; /* handlers of signals run in a thread of their own */
    static DWORD found;
    HANDLE in = GetStdHandle(STD_INPUT_HANDLE);
    if (on == are_on) return 0;
    if (on) GetConsoleMode(in, &found);
    else FlushConsoleInputBuffer(in);
    are_on = on;
    SetConsoleMode(in, on ? ENABLE_VIRTUAL_TERMINAL_INPUT : found);
    write(1, on ? keys_on : keys_off, on ? sizeof keys_on - 1 : sizeof keys_off - 1);
    return 1;
}

static int terminal_columns(void)
{
    CONSOLE_SCREEN_BUFFER_INFO info;
    if (!GetConsoleScreenBufferInfo(GetStdHandle(STD_OUTPUT_HANDLE), &info)) return 80;
    return info.srWindow.Right - info.srWindow.Left + 1;
}

/* Only a thread of its own can wait for a pipe or a console: one for each piece that is wanted. */
static struct {
    HANDLE thread;
    int len; /* < 0: the end */
    char bytes[4096];
} piece;

static DWORD WINAPI read_piece(LPVOID unused)
{
    static WCHAR wide[sizeof piece.bytes / 4];
    HANDLE in = GetStdHandle(STD_INPUT_HANDLE);
    DWORD n = 0, half = 0;
    (void)unused;
    piece.len = -1;
    if (!is_terminal(stdin)) {
        if (ReadFile(in, piece.bytes, sizeof piece.bytes, &n, NULL) && n > 0) piece.len = (int)n;
    } else if (ReadConsoleW(in, wide, sizeof wide / sizeof *wide - 1, &n, NULL) && n > 0 &&
               wide[0] != 26) { /* ^Z ends the input, as everywhere on Windows */
        if (wide[n - 1] >= 0xD800 && wide[n - 1] < 0xDC00) /* the first half of a character */
            ReadConsoleW(in, wide + n, 1, &half, NULL);
        piece.len = WideCharToMultiByte(CP_UTF8, 0, wide, (int)(n + half), piece.bytes,
                                        sizeof piece.bytes, NULL, NULL);
    }
    return 0;
}

/* > 0 bytes read, 0 nothing now, < 0 the end. */
static int input_read(uint8_t *p, size_t cap)
{
    if (!piece.thread) piece.thread = CreateThread(NULL, 0, read_piece, NULL, 0, NULL);
    if (WaitForSingleObject(piece.thread, 0) != WAIT_OBJECT_0) return 0;
    CloseHandle(piece.thread);
    piece.thread = NULL;
    if (piece.len > 0 && (size_t)piece.len <= cap) memcpy(p, piece.bytes, (size_t)piece.len);
    return piece.len;
}
#else
#include <sys/ioctl.h>
#include <termios.h>
#define TURN_MS 250 /* the longest sleep: a signal just before it, or a new width, waits as long */
#define INPUT_SOCKET STDIN_FILENO
#define environment(name) getenv(name)
#define USUAL_TERM "dumb"

static int socket_connecting(int e) { return e == EINPROGRESS || e == EINTR; }
static int is_terminal(FILE *f) { return isatty(fileno(f)); }
static void suspend(void) { kill(0, SIGTSTP); } /* the whole job, as the terminal would */

/* A signal that is ignored stays so: that was nohup's wish, or the shell's. The others also end
   what would block. */
static void program_start(int *argc, char ***argv)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal}, old;
    int i;
    (void)argc, (void)argv; /* they are UTF-8 */
    action.sa_flags = SA_NODEFER; /* a second ^C ends even a handler whose write blocks */
    for (i = 0; i < 3; i++)
        if (sigaction(signals[i], NULL, &old) != 0 || old.sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
}

/* Each key at once, and no echo; or the terminal as it was found. 1 if that has changed anything:
   the first time, and after a shell has set modes of its own. ^C stays a signal: it is heard when
   nothing is read, too. A signal handler may call this. At the end what was typed and not read is
   dropped: it was meant for the chat, and the shell would run it. */
static int terminal_keys(int on)
{
    static struct termios found;
    static volatile sig_atomic_t are_on;
    const char *words = on ? keys_on : keys_off;
    struct termios t;
    if (!on && !are_on) return 0;
    if (on && (tcgetattr(STDIN_FILENO, &t) != 0 || (are_on && !(t.c_lflag & ICANON)))) return 0;
    if (on) {
        found = t;
        are_on = 1;
        t.c_lflag &= ~(tcflag_t)(ECHO | ICANON | IEXTEN);
        t.c_iflag &= ~(tcflag_t)(IXON | ICRNL);
        t.c_cc[VQUIT] = t.c_cc[VSUSP] = _POSIX_VDISABLE;
        t.c_cc[VMIN] = 1;
        t.c_cc[VTIME] = 0;
    } else {
        t = found;
    }
    tcsetattr(STDIN_FILENO, on ? TCSADRAIN : TCSAFLUSH, &t);
    are_on = on; /* not earlier: a signal that comes before it has to give the terminal back */
    (void)!write(STDOUT_FILENO, words, strlen(words)); /* last: this may block */
    return 1;
}

static int terminal_columns(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* > 0 bytes read, 0 nothing now, < 0 the end. */
static int input_read(uint8_t *p, size_t cap)
{
    ssize_t n = read(STDIN_FILENO, p, cap);
    return n > 0 ? (int)n : n < 0 && socket_full(errno) ? 0 : -1;
}
#endif

/* ---- State ---- */

#define INPUT_MAX 4096      /* bytes of input that are read at once */
#define LINE_MAX_LEN 262144 /* bytes of the line: a message has fewer, but not what is pasted */
#define HISTORY_MAX 100     /* lines */
#define HISTORY_BYTES 8192  /* bytes of each, and a zero */
#define HEARD_MAX 64        /* names that Tab completes */
#define PLACES_MAX 16       /* servers */
#define LIST_MS 2000        /* how long a server's list may take */
#define LIST_LINES 20       /* lines of a list that are shown in the chat */
#define STAGGER_MS 1000     /* how long an address may keep silent before the next one is tried */
#define PORT_MS 50          /* between two attempts to get a port that is free for UDP, too */
#define PENDING_MS 1000     /* after that, what is not confirmed is shown in the prompt */

#define LOOK(sequence) (term.colour ? sequence : "")
#define DIM LOOK("\033[2m")
#define BOLD LOOK("\033[1m")
#define PLAIN LOOK("\033[0m")

/* stdin, stdout, and the line being typed, which goes to `said` when Enter is pressed. What is
   pasted may have several lines: they are one here, with newlines in it. */
static struct {
    int keyboard, screen;  /* stdin is a terminal; stdout is, too, and knows escape sequences */
    int colour;
    int ended, error;              /* stdin is at its end; what stdout failed of, if known */
    char line[LINE_MAX_LEN + 1];
    size_t len, at;                /* at: the cursor */
    char said[LINE_MAX_LEN + INPUT_MAX]; /* lines to say, or answers */
    size_t said_len;
    const char *question;          /* that is being answered, or NULL */
    int hidden;                    /* its answer is not to be seen */
    char row[LINE_MAX_LEN + 512];  /* what is drawn of all that */
    int before;                    /* columns of it before the cursor */
    char killed[LINE_MAX_LEN + 1]; /* for ^Y */
    char history[HISTORY_MAX + 1][HISTORY_BYTES]; /* the newest first; [0]: not yet said */
    size_t back;                   /* which of them is shown */
    char names[HEARD_MAX][OCM_NAME_MAX + 1]; /* heard in the room, the latest first */
} term;

/* What one turn of the loop waits for, and afterwards what has happened. */
static struct {
    fd_set readable, writable, failed;
    uint64_t until; /* ms */
} watch;

/* A server, as -s tells it. */
typedef struct place {
    char host[256], tcp[6], udp[6];
    char name[300];             /* HOST/TCP:UDP in one way of writing: ocm_pick hashes it */
    struct addrinfo *addresses; /* NULL: not looked up yet */
} place;

/* A TCP connection, or the way to one: the addresses of a server in turn, and the first that
   answers is taken. */
typedef struct tcp_link {
    socket_t socket;
    int open, error;                  /* it is connected; the last error, 0: no answer */
    const struct addrinfo *next;      /* the address to try next */
    uint64_t again;                   /* ms: when to try it; UINT64_MAX: not at all */
} tcp_link;

#define NO_LINK {.socket = INVALID_SOCKET, .again = UINT64_MAX}

static struct {
    place places[PLACES_MAX];
    size_t place_count;
    place *home;                /* the server that has the room */
    tcp_link tcp;               /* to its server */
    socket_t udp;
    struct sockaddr_storage to; /* where datagrams go */
    socklen to_len;
    int status;                 /* of the program's end; 1: not all is well */
    uint64_t present;           /* seq: what is below it was said before we came */
    uint64_t said_at;           /* ms: when the user has said something */
} net = {.tcp = NO_LINK, .udp = INVALID_SOCKET};

static struct {
    char room[LINE_MAX_LEN + 1], name[LINE_MAX_LEN + 1], password[LINE_MAX_LEN + 1];
    int want, text, list;
    const char *ask; /* which of these is asked for, though it may be given: by -p, or refused */
} opt;

static ocm_session session;

#define view(bytes, count) ((ocm_view){(const uint8_t *)(bytes), count})

static const ocm_view nothing = {NULL, 0};

static void turn(void);

/* How many lines a text has; the last one may lack its newline. */
static unsigned long lines_in(const char *text, size_t len)
{
    unsigned long lines = len > 0 && text[len - 1] != '\n';
    while (len > 0) lines += text[--len] == '\n';
    return lines;
}

/* ---- Characters ---- */

/* What looks like one character: with the combining ones after it, and with what U+200D joins. */
typedef struct cell {
    size_t at; /* where it begins, in bytes */
    int x;     /* and in columns, if each character takes as many as it may */
    int word;  /* 0 for blanks; cells of one number make a word: Japanese has no blanks between
                  words, but often another script */
    char mark; /* shown in its place; 0: itself */
} cell;

static cell cells[sizeof term.row + 1]; /* of the text that was measured last, and its end */

/* How many cells a text has. */
static size_t measure(const char *text, size_t len)
{
    static const struct {
        uint32_t first, last;
        int columns; /* 0 for combining characters, 2 for East Asian wide ones and pictures */
        int word;
    } ranges[] = {
        {'\t', '\n', 1, 0},          {' ', ' ', 1, 0},            {0x3000, 0x3000, 2, 0},
        {0x300, 0x36F, 0, 1},        {0x200B, 0x200F, 0, 1},      {0x20D0, 0x20FF, 0, 1},
        {0x3099, 0x309A, 0, 2},      {0xFE00, 0xFE0F, 0, 1},      {0x1F3FB, 0x1F3FF, 0, 1},
        {0x3041, 0x309F, 2, 2},      {0x30A0, 0x30FF, 2, 3},      {0x3400, 0x9FFF, 2, 4},
        {0x1100, 0x115F, 2, 1},      {0x231A, 0x27BF, 2, 1},      {0x2B00, 0x2BFF, 2, 1},
        {0x2E80, 0xA4CF, 2, 1},      {0xAC00, 0xD7A3, 2, 1},      {0xF900, 0xFAFF, 2, 1},
        {0xFE30, 0xFE6F, 2, 1},      {0xFF00, 0xFF60, 2, 1},      {0xFFE0, 0xFFE6, 2, 1},
        {0x1F000, 0x3FFFF, 2, 1},    {0, 0x10FFFF, 1, 1}};
    uint32_t before = 0, c;
    size_t n = 0, at = 0;
    int x = 0, i, bytes;
    for (; at < len; at += bytes ? (size_t)bytes : 1) {
        cell here = {at, x, 0, 0};
        bytes = ocm_utf8_decode((const uint8_t *)text + at, len - at, &c);
        if (!bytes) c = 0;
        for (i = 0; c < ranges[i].first || c > ranges[i].last;) i++;
        here.word = ranges[i].word;
        here.mark = c < ' ' || (c > '~' && c < 0xA0) ? '?' : 0;
        if (c == '\t' || c == '\n') here.mark = c == '\t' ? ' ' : '|';
        if (n == 0 || here.mark || (ranges[i].columns > 0 && before != 0x200D)) cells[n++] = here;
        before = c;
        x += ranges[i].columns;
    }
    cells[n].at = len;
    cells[n].x = x;
    return n;
}

/* ---- The line on the screen ----

   Whoever writes wipes it first; turn() draws it before it waits. */

/* Writes what is buffered. A file that fails is given up for good; a signal that comes while a
   write waits makes it fail, since a reader that has stopped must not keep anyone here. Then
   show_line() fills the buffer no further: stdio would write a full one, and wait again. */
static void put_out(FILE *f)
{
    if (!ferror(f) && fflush(f) != 0 && f == stdout) term.error = errno;
}

/* When the window has become narrower, terminals break the row that was drawn into several. */
static void line_wipe(void)
{
    int columns = terminal_columns();
    if (!term.screen) return;
    if (term.before >= columns) printf("\033[%dA", term.before / columns);
    fputs("\r\033[J", stdout);
    term.before = 0;
    term.row[0] = 0;
}

/* In the room: its name, and what is unusual. */
static void line_prompt(char *prompt)
{
    unsigned long waiting = (unsigned long)ocm_session_pending(&session) +
                            lines_in(term.said, term.said_len);
    unsigned long lines = lines_in(term.line, term.len);
    prompt += sprintf(prompt, "%s", term.question ? term.question : opt.room);
    if (term.question) return;
    if (term.said_len > 0 || (waiting > 0 && clock_ms() - net.said_at >= PENDING_MS))
        prompt += sprintf(prompt, " (%lu waiting)", waiting);
    if (lines > 1) prompt += sprintf(prompt, " (%lu lines)", lines);
    strcpy(prompt, stage == LEAVING ? " (leaving)> " : "> ");
}

/* Shows the prompt and what fits beside it of the line, around the cursor: one row, so that it can
   be wiped. To the right of the cursor goes what there is, up to half of the row. A prompt that
   takes more than half of it scrolls with the line. */
static void line_draw(void)
{
    static char text[sizeof term.row], row[sizeof term.row];
    char *end = row;
    int columns = terminal_columns() - 1, right;
    size_t len, cursor, count, prompt = 0, from, at, i;
    if (!term.screen || (stage == OUTSIDE && !term.question)) return;
    line_prompt(text);
    len = strlen(text);
    cursor = len + (term.hidden ? 0 : term.at);
    memcpy(text + len, term.line, term.hidden ? 0 : term.len);
    count = measure(text, len + (term.hidden ? 0 : term.len));
    while (cells[prompt].at < len) prompt++;
    for (at = prompt; cells[at].at < cursor;) at++;
    if (cells[prompt].x > columns / 2) prompt = 0;
    columns -= cells[prompt].x;
    right = cells[count].x - cells[at].x;
    if (right > columns / 2) right = columns / 2;
    for (from = prompt; from < at && cells[at].x - cells[from].x + right > columns;) from++;
    for (i = prompt ? 0 : from;; i = i + 1 == prompt ? from : i + 1) {
        if (i == at) end += sprintf(end, "\0337"); /* the terminal knows best how wide that was */
        if (i == count || (i >= from && cells[i + 1].x - cells[from].x > columns)) break;
        len = cells[i + 1].at - cells[i].at;
        memcpy(end, text + cells[i].at, len);
        if (cells[i].mark) *end = cells[i].mark;
        end += cells[i].mark ? 1 : len;
    }
    strcpy(end, "\0338");
    if (strcmp(row, term.row) == 0) return;
    line_wipe();
    strcpy(term.row, row);
    term.before = cells[prompt].x + cells[at].x - cells[from].x;
    term.before -= at == count && term.before > 0; /* at a row's end the cursor stays on it */
    fputs(row, stdout);
    put_out(stdout);
}

/* ---- Showing ---- */

/* Writes what a stranger wrote: what would move the cursor, or reorder the line, is shown and not
   executed. No name may have such a character. */
static void put_safe(FILE *f, ocm_view v)
{
    size_t i = 0;
    while (i < v.len) {
        uint32_t c;
        int n = ocm_utf8_decode(v.ptr + i, v.len - i, &c);
        if (n == 0) c = v.ptr[i];
        if (n > 0 && (c == '\t' || ocm_room_valid(view(v.ptr + i, (size_t)n))))
            fwrite(v.ptr + i, 1, (size_t)n, f);
        else
            fprintf(f, c > 0xFF ? "\\u%04x" : "\\x%02x", (unsigned)c);
        i += n ? (size_t)n : 1;
    }
}

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
#define die(...) (warn(__VA_ARGS__), finish(2))

/* Gives the terminal back, and ends the program. */
static void finish(int status)
{
    line_wipe();
    put_out(stdout);
    terminal_keys(0);
    if (ferror(stdout) && status == 0) {
        warn("the output cannot be written: %s", term.error ? strerror(term.error) : "closed?");
        status = 1;
    }
    _Exit(status); /* exit() would try again to write what could not be written */
}

/* Whether one's own name stands in a text there, and not within a word of ASCII: "tomorrow" does
   not call "tom". Other scripts may have no blanks. */
static int named_at(ocm_view text, size_t at)
{
    size_t end = at + strlen(opt.name);
    if (end > text.len || memcmp(text.ptr + at, opt.name, end - at) != 0) return 0;
    if (at > 0 && isalnum(text.ptr[at - 1]) && isalnum(text.ptr[at])) return 0;
    return end == text.len || !isalnum(text.ptr[end - 1]) || !isalnum(text.ptr[end]);
}

/* A line of the chat: a message, or the server's words; with the time, when the minute is another
   than that of the last line. A bot answers nothing of the past, nor itself. On a screen everybody
   has a colour, always the same, and one's own name is dim; in somebody's message it is bold. */
static void show_line(const ocm_action *a)
{
    static const char *const headings[] = {"* from now on:\n", "* earlier in this room:\n"};
    static int last_minute = -1, in_past;
    int message = a->kind == OCM_SHOW_MESSAGE;
    time_t t = time(NULL);
    const struct tm *now = localtime(&t);
    int minute = now ? now->tm_hour * 60 + now->tm_min : last_minute;
    unsigned hash = 0;
    size_t at = 0, i;
    if (ferror(stdout) || (!term.screen && (a->past || a->own))) return;
    line_wipe();
    if (a->past != in_past) fputs(headings[a->past], stdout);
    if (term.screen && !a->past && minute != last_minute) {
        last_minute = minute;
        printf("%s%02d:%02d %s", DIM, minute / 60, minute % 60, PLAIN);
    }
    for (i = 0; i < a->name.len; i++) hash = hash * 31 + a->name.ptr[i];
    if (!message) fputs("* ", stdout);
    else if (a->own) fputs(DIM, stdout);
    else if (term.colour) printf("\033[%s3%um", hash / 6 % 2 ? "1;" : "", 1 + hash % 6);
    if (message) {
        if (a->name.len >= 2 && memcmp(a->name.ptr, "* ", 2) == 0)
            fputs("\\", stdout); /* or its words would pass for what happened */
        put_safe(stdout, a->name);
        printf("%s: ", PLAIN);
    }
    while (at < a->text.len && (!message || a->own || !named_at(a->text, at))) at++;
    put_safe(stdout, view(a->text.ptr, at));
    if (at < a->text.len) {
        printf("%s%s%s", BOLD, opt.name, PLAIN);
        at += strlen(opt.name);
        put_safe(stdout, view(a->text.ptr + at, a->text.len - at));
        if (term.screen && !a->past) fputs("\a", stdout);
    }
    fputs("\n", stdout);
    in_past = a->past && a->seq + 1 != net.present;
    if (in_past != a->past) fputs(headings[0], stdout);
    put_out(stdout);
}

/* ---- The line itself ---- */

static void line_clear(void)
{
    term.len = term.at = term.back = 0;
}

/* 0 if it has no place. */
static int line_insert(const char *p, size_t len)
{
    if (len > LINE_MAX_LEN - term.len) return 0;
    memmove(term.line + term.at + len, term.line + term.at, term.len - term.at);
    memmove(term.line + term.at, p, len); /* it may be the line itself */
    term.at += len;
    term.len += len;
    return 1;
}

/* Takes bytes out of the line; the cursor is then where they were. */
static void line_erase(size_t from, size_t to, int kill)
{
    if (kill && to > from && !term.hidden) {
        memcpy(term.killed, term.line + from, to - from);
        term.killed[to - from] = 0;
    }
    memmove(term.line + from, term.line + to, term.len - to);
    term.len -= to - from;
    term.at = from;
}

/* The line is to be said, or is the answer. */
static void line_enter(void)
{
    if (term.len >= sizeof term.said - term.said_len) return;
    memcpy(term.said + term.said_len, term.line, term.len);
    term.said_len += term.len;
    term.said[term.said_len++] = '\n';
    term.line[term.len] = 0;
    if (term.screen && !term.question && term.len > 0 && term.len < HISTORY_BYTES &&
        strcmp(term.history[1], term.line) != 0) {
        memmove(term.history[2], term.history[1], (HISTORY_MAX - 1) * sizeof term.history[0]);
        strcpy(term.history[1], term.line);
    }
    line_clear();
}

/* Puts a line of the history in place of the one that is there. */
static void history_recall(size_t back)
{
    if (back > HISTORY_MAX || term.question || term.len >= HISTORY_BYTES) return;
    if (back > 0 && !*term.history[back]) return;
    term.line[term.len] = 0;
    if (term.back == 0) strcpy(term.history[0], term.line);
    line_clear();
    line_insert(term.history[back], strlen(term.history[back]));
    term.back = back;
}

/* Remembers the name of somebody in the room, for Tab. */
static void name_heard(ocm_view name)
{
    size_t i = 0;
    if (!ocm_room_valid(name) || ocm_view_equal(name, ocm_text(opt.name))) return;
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
    KEY_NONE, KEY_TEXT = 128, KEY_DELETE, KEY_WORD_LEFT, KEY_WORD_RIGHT, KEY_KILL_NEXT, KEY_PASTE,
    KEY_PASTED
};

/* One byte of input: the key that it completes, or KEY_NONE. */
static int key_of(uint8_t c)
{
    static const struct {
        const char *bytes;
        int key;
    } sequences[] = { /* what follows ESC; ESC O is read as ESC [ */
        {"[A", CTL('P')}, {"[B", CTL('N')}, {"[C", CTL('F')}, {"[D", CTL('B')},
        {"[H", CTL('A')}, {"[1~", CTL('A')}, {"[7~", CTL('A')}, {"[F", CTL('E')},
        {"[4~", CTL('E')}, {"[8~", CTL('E')}, {"[3~", KEY_DELETE}, {"b", KEY_WORD_LEFT},
        {"[1;5D", KEY_WORD_LEFT}, {"[1;3D", KEY_WORD_LEFT}, {"[5D", KEY_WORD_LEFT},
        {"[d", KEY_WORD_LEFT}, {"f", KEY_WORD_RIGHT}, {"[1;5C", KEY_WORD_RIGHT},
        {"[1;3C", KEY_WORD_RIGHT}, {"[5C", KEY_WORD_RIGHT}, {"[c", KEY_WORD_RIGHT},
        {"d", KEY_KILL_NEXT}, {"\177", CTL('W')}, {"[200~", KEY_PASTE}, {"[201~", KEY_PASTED}};
    static char s[12]; /* what has come of a sequence */
    static size_t len;
    size_t i;
    if (c < ' ' || c > 0x7F) len = 0; /* these break it off */
    if (len == 0 && c != '\033')
        return c == '\r' ? '\n' : c == 0x7F ? CTL('H') : c < ' ' ? c : KEY_TEXT;
    s[len] = len == 1 && c == 'O' ? '[' : (char)c;
    if (len < sizeof s - 2) len++; /* one that is longer is none of these */
    s[len] = 0;
    if (len == 1 || (len == 2 && s[1] == '[')) return KEY_NONE;
    /* parameters; and ESC [ [ A is F1 of the Linux console */
    if (s[1] == '[' && (c < '@' || (len == 3 && c == '['))) return KEY_NONE;
    len = 0;
    for (i = 0; i < sizeof sequences / sizeof sequences[0]; i++)
        if (strcmp(s + 1, sequences[i].bytes) == 0) return sequences[i].key;
    return KEY_NONE;
}

/* The other end of the word after a cell (end: the last one), or before it (end 0). */
static size_t word_end(size_t i, size_t end)
{
    size_t back = end < i;
    int word = 0;
    while (i != end && (!word || cells[i - back].word == word)) {
        word = cells[i - back].word;
        i += 1 - 2 * back;
    }
    return cells[i].at;
}

/* Carries out a key that is no text. */
static void key_press(int key)
{
    size_t at = term.at, len = term.len, count = measure(term.line, len), i = 0, left, right;
    while (cells[i].at < at) i++;
    left = i > 0 ? cells[i - 1].at : 0;
    right = i < count ? cells[i + 1].at : len;
    switch (key) {
    case '\n': line_enter(); break;
    case CTL('A'): term.at = 0; break;
    case CTL('E'): term.at = len; break;
    case CTL('B'): term.at = left; break;
    case CTL('F'): term.at = right; break;
    case KEY_WORD_LEFT: term.at = word_end(i, 0); break;
    case KEY_WORD_RIGHT: term.at = word_end(i, count); break;
    case CTL('H'): line_erase(left, at, 0); break;
    case CTL('D'): if (len == 0) term.ended = 1; /* fall through */
    case KEY_DELETE: line_erase(at, right, 0); break;
    case CTL('W'): line_erase(word_end(i, 0), at, 1); break;
    case KEY_KILL_NEXT: line_erase(at, word_end(i, count), 1); break;
    case CTL('U'): line_erase(0, at, 1); break;
    case CTL('K'): line_erase(at, len, 1); break;
    case CTL('Y'): line_insert(term.killed, strlen(term.killed)); break;
    case CTL('P'): history_recall(term.back + 1); break;
    case CTL('N'): history_recall(term.back - 1); break; /* after 0 comes none: it is unsigned */
    case CTL('I'): line_complete_name(); break;
    case CTL('C'): on_signal(SIGINT); break;
    case CTL('L'):
        line_wipe();
        fputs("\033[H\033[2J", stdout);
        break;
    case CTL('Z'):
        terminal_keys(0);
        suspend();
        break;
    }
}

/* Takes one byte of input; without a screen it is text. So is what is pasted, whatever it is, but
   that / at the start of a line gets another one: it is no command. Whoever answers a question
   presses Enter. */
static void input_take(char c)
{
    static int pasting;
    static unsigned long lost; /* bytes that were pasted and have no place */
    int key = term.screen ? key_of((uint8_t)c) : c == '\n' ? c : KEY_TEXT;
    int first = term.at == 0 || term.line[term.at - 1] == '\n';
    if (key == KEY_PASTE || key == KEY_PASTED) {
        pasting = key == KEY_PASTE;
        if (lost) warn("too much was pasted: the last %lu bytes have no place in the line", lost);
        lost = 0;
    } else if (!pasting && key != KEY_TEXT) {
        key_press(key);
    } else if (key == KEY_TEXT || key == '\t' || (key == '\n' && !term.question)) {
        if (pasting && c == '/' && first && !term.question) line_insert("/", 1);
        lost += !line_insert(key == '\n' ? "\n" : &c, 1);
    }
}

/* Takes the first of the lines to say: its length, or -1 if there is none. */
static int line_take(char *line)
{
    const char *stop = (const char *)memchr(term.said, '\n', term.said_len);
    size_t len = stop ? (size_t)(stop - term.said) : 0;
    if (!stop) return -1;
    memcpy(line, term.said, len);
    term.said_len -= len + 1;
    memmove(term.said, stop + 1, term.said_len);
    if (len > 0 && line[len - 1] == '\r') len--;
    line[len] = 0;
    return (int)len;
}

/* ---- Connecting ---- */

static void link_close(tcp_link *l)
{
    if (l->socket != INVALID_SOCKET) socket_close(l->socket);
    l->socket = INVALID_SOCKET;
    l->open = 0;
    l->again = UINT64_MAX;
}

static void link_open(tcp_link *l, place *p)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    if (!p->addresses && getaddrinfo(p->host, p->tcp, &hints, &p->addresses) != 0)
        p->addresses = NULL;
    link_close(l);
    l->next = p->addresses;
    l->again = 0; /* ms: at once */
}

/* An attempt to connect that has ended makes its socket writable or, on Windows, failed. */
static void link_watch(const tcp_link *l)
{
    if (l->again < watch.until) watch.until = l->again;
    if (l->socket == INVALID_SOCKET) return;
    FD_SET(l->socket, l->open ? &watch.readable : &watch.writable);
    if (!l->open) FD_SET(l->socket, &watch.failed);
}

enum { LINK_LOST = -1, LINK_MADE = -2 };

/* > 0 bytes that came; LINK_MADE when it is connected now; LINK_LOST when it cannot be, or is not
   any more; else 0. */
static int link_turn(tcp_link *l, uint64_t now, uint8_t *p, size_t cap)
{
    socklen len = sizeof l->error;
    int n;
    if (l->open) {
        n = (int)recv(l->socket, (char *)p, (socklen)cap, 0);
        return n > 0 ? n : n < 0 && socket_full(socket_error()) ? 0 : LINK_LOST;
    }
    if (l->socket != INVALID_SOCKET &&
        (FD_ISSET(l->socket, &watch.writable) || FD_ISSET(l->socket, &watch.failed))) {
        getsockopt(l->socket, SOL_SOCKET, SO_ERROR, (char *)&l->error, &len);
        if (l->error == 0) {
            l->open = 1;
            l->again = UINT64_MAX;
            return LINK_MADE;
        }
    } else if (now < l->again) {
        return 0;
    }
    while (l->next) { /* the next address that takes it */
        const struct addrinfo *to = l->next;
        if (l->socket != INVALID_SOCKET) socket_close(l->socket);
        l->next = to->ai_next;
        l->again = l->next ? now + STAGGER_MS : UINT64_MAX;
        l->socket = socket(to->ai_family, SOCK_STREAM, 0);
        if (socket_fits(l->socket) && socket_nonblocking(l->socket) &&
            (connect(l->socket, to->ai_addr, (socklen)to->ai_addrlen) == 0 ||
             socket_connecting(socket_error()))) {
            l->error = 0;
            return 0;
        }
        l->error = socket_error();
    }
    link_close(l);
    return LINK_LOST;
}

/* error: the link's. */
static void no_server(const place *p, int error)
{
    warn("no chat server at %s, TCP port %s (%s): is ./server running there? Another address is "
         "given with -s", p->host, p->tcp,
         !p->addresses ? "no such host" : error ? socket_words(error) : "no answer");
}

/* ---- Lists ----

   The rooms of all servers in turn, or the members of a room. A list comes in while the chat goes
   on, and gives way to the next one that is wanted. */

static struct {
    place *at, *end;     /* the server that is asked; at the end there is no list under way */
    const char *room;    /* whose members; "": the rooms */
    unsigned long most, lines; /* how many to show in all, 0: only count; how many there were */
    int all, reached;    /* each server has answered so far; one was reached */
    int more;            /* a server left some out */
    uint64_t until;      /* ms: how long the server may take */
    tcp_link link;
    size_t len;          /* bytes of the answer that are here */
} list = {.room = "", .until = UINT64_MAX, .link = NO_LINK};

static place *place_of(const char *room)
{
    ocm_view names[PLACES_MAX];
    size_t i;
    for (i = 0; i < net.place_count; i++) names[i] = ocm_text(net.places[i].name);
    return &net.places[ocm_pick(names, net.place_count, ocm_text(room))];
}

/* Asks a server; after the last one, tells what is to be told of all together. A room always has a
   member, so an answer that names none means that the password is wrong or was not given. */
static void list_ask(place *p)
{
    list.at = p;
    list.len = 0;
    list.until = p < list.end ? clock_ms() + LIST_MS : UINT64_MAX;
    if (p < list.end) {
        link_open(&list.link, p);
        return;
    }
    link_close(&list.link);
    if (list.more || (list.lines > 1 && !opt.list))
        inform(nothing, "%s%lu %s are here", list.more ? "at least " : "", list.lines,
               *list.room ? "members" : "rooms");
    if (!list.all || list.lines > 0 || list.most == 0) return;
    if (!*list.room) {
        inform(nothing, "no rooms yet");
        return;
    }
    warn(*opt.password ? "wrong password for room \"%s\"" : "room \"%s\" has a password, and "
         "names its members only to anyone who gives it (-p)", list.room);
    list.all = !*opt.password;
}

static void list_begin(const char *room, unsigned long most)
{
    list.room = room;
    list.most = most;
    list.lines = 0;
    list.all = 1;
    list.reached = list.more = 0;
    list.end = *room ? place_of(room) + 1 : net.places + net.place_count;
    list_ask(*room ? place_of(room) : net.places);
}

/* Shows what a server has answered. 0 if that is no list. */
static int list_show(ocm_view rest)
{
    static uint8_t scratch[OCM_LIST_MAX];
    FILE *f = opt.list ? stdout : ASIDE;
    int table = opt.list && !is_terminal(stdout);
    ocm_listed l;
    line_wipe();
    while (rest.len > 0) {
        const uint8_t *stop = (const uint8_t *)memchr(rest.ptr, '\n', rest.len);
        size_t len = stop ? (size_t)(stop - rest.ptr) : rest.len;
        ocm_view name;
        if (ocm_listed_decode(view(rest.ptr, len), scratch, &l) < 0) return 0;
        rest = view(rest.ptr + len + (stop != NULL), rest.len - len - (stop != NULL));
        list.more |= l.more;
        if (l.more) continue;
        name = l.room.len ? l.room : l.username;
        if (!ocm_room_valid(name)) return 0;
        if (l.username.len) name_heard(name);
        if (++list.lines > list.most) continue;
        put_safe(f, name);
        if (l.username.len)
            fprintf(f, table ? "\t%s\n" : " (%s)\n", l.host ? "host" : "member");
        else
            fprintf(f, table ? "\t%lu\t%s\n" : " (members: %lu, %s)\n", (unsigned long)l.size,
                    l.password ? "password" : "open");
    }
    put_out(f);
    return 1;
}

static void list_turn(uint64_t now)
{
    static uint8_t answer[OCM_ANSWER_MAX + OCM_NAME_MAX];
    ocm_request r = {.op = OCM_LIST, .room = ocm_text(list.room)};
    ocm_frame f;
    int n = link_turn(&list.link, now, answer + list.len, sizeof answer - list.len);
    if (n == LINK_MADE) {
        list.reached = 1;
        if (*list.room) r.password = ocm_text(opt.password);
        n = ocm_request_encode(answer, sizeof answer, &r);
        n = send(list.link.socket, (char *)answer, (socklen)n, 0) == n ? 0 : LINK_LOST;
    } else if (n > 0) {
        list.len += (size_t)n;
        n = ocm_frame_decode(answer, list.len, OCM_LIST_MAX, &f);
    }
    if (n == 0 && now < list.until) return;
    if (n > 0 && (f.op != OCM_LIST || f.state != OCM_STATE_COMPLETE)) n = LINK_LOST;
    if (n <= 0 || !list_show(f.payload)) {
        if (list.most == 0) {}
        else if (n > 0 && *list.room) warn("room \"%s\" does not exist", list.room);
        else if (!list.link.open) no_server(list.at, list.link.error);
        else warn("the server at %s, TCP port %s, gives no list", list.at->host, list.at->tcp);
        list.all = 0;
    }
    list_ask(list.at + 1);
}

/* ---- The plain text dialect (-t), for servers that know no other ----

   The session speaks JSON: all that it sends, and all that it gets, is translated here. Such a
   server is sent nothing but the request and what the user says. */

#define TEXT_PAUSE_MS 25 /* between two messages: what is over a server's rate is lost */
#define ECHOES 64        /* messages that may be under way to a server that sends them back */
#define ECHO_MS 10000    /* how long the last of them may be */

static struct {
    uint8_t out[OCM_FRAME_MAX], scratch[OCM_FRAME_MAX];
    int echoes;       /* the server sends everything to everybody: team A's, whose byte is 200 */
    char said[ECHOES][OCM_TEXT_MAX + 1]; /* the last messages, as a ring: how many there were, */
    size_t said_count, heard;            /* and how many are sent back, or will not be */
} text;

static ocm_view text_request(ocm_view request)
{
    ocm_request q = {.op = request.ptr[1], .dialect = OCM_DIALECT_TEXT,
                     .room = ocm_text(opt.room), .name = ocm_text(opt.name)};
    return view(text.out, (size_t)ocm_request_encode(text.out, sizeof text.out, &q));
}

/* The session understands every answer but the byte that tells why there is none. */
static void text_received(const uint8_t *p, size_t len, uint64_t now)
{
    static const int of_byte[] = {0, 409, 404, 401, 400, 503, 409};
    char json[32];
    ocm_frame f;
    int n = ocm_frame_decode(p, len, OCM_PAYLOAD_MAX, &f), byte = 0;
    if (n > 0 && f.state == OCM_STATE_ACK && f.payload.len == 1) byte = f.payload.ptr[0];
    text.echoes |= byte == 200;
    if (byte > 0 && byte != 200) {
        sprintf(json, "{\"status\":%d}", byte < 7 ? of_byte[byte] : 400);
        len = (size_t)ocm_frame_encode(text.out, sizeof text.out, f.op, OCM_STATE_COMPLETE,
                                       nothing, ocm_text(json));
        p = text.out;
    }
    ocm_session_received(&session, p, len, now);
}

/* What the user says. */
static ocm_view text_said(ocm_view datagram)
{
    ocm_datagram d;
    ocm_message m;
    if (ocm_datagram_decode(datagram.ptr, datagram.len, &d) < 0 ||
        ocm_message_decode(d.payload, text.scratch, &m) < 0 || m.has & OCM_HAS_OPERATION)
        return nothing;
    if (text.echoes) sprintf(text.said[text.said_count++ % ECHOES], "%.*s", OCM_S(m.text));
    return view(text.out,
                (size_t)ocm_datagram_encode(text.out, sizeof text.out, d.room, d.token, m.text));
}

/* What follows the first ": ", and in *before what stands before that; or nothing. */
static ocm_view text_after(ocm_view v, ocm_view *before)
{
    size_t i = 0;
    while (i + 2 < v.len && memcmp(v.ptr + i, ": ", 2) != 0) i++;
    *before = view(v.ptr, i);
    return i + 2 < v.len ? view(v.ptr + i + 2, v.len - i - 2) : nothing;
}

/* "alice: hi", or the server's own words; with a header or without one. What the user said and is
   sent back is dropped, and no longer expected then is what was said before: one may be lost. */
static void text_datagram(const uint8_t *p, size_t len, uint64_t now)
{
    size_t i = text.said_count - text.heard > ECHOES ? text.said_count - ECHOES : text.heard;
    ocm_message m = {.has = OCM_HAS_SENDER | OCM_HAS_TEXT, .sender = ocm_text("system")};
    ocm_view before, after;
    ocm_datagram d;
    int n;
    if (ocm_datagram_decode(p, len, &d) < 0 || !ocm_view_equal(d.room, ocm_text(opt.room)))
        d = (ocm_datagram){.payload = view(p, len)};
    while (i < text.said_count && !ocm_view_equal(d.payload, ocm_text(text.said[i % ECHOES]))) i++;
    if (i < text.said_count && now < net.said_at + ECHO_MS) {
        text.heard = i + 1;
        return;
    }
    after = text_after(d.payload, &before);
    if (after.len) m.sender = before;
    m.text = after.len ? after : d.payload;
    after = text_after(m.text, &before);
    if (after.len && !d.room.len && /* with a header anybody may say that */
        ocm_view_equal(before, ocm_text("You have been disconnected"))) {
        m.has |= OCM_HAS_OPERATION | OCM_HAS_REASON;
        m.operation = OCM_OP_REMOVED;
        m.reason = ocm_view_equal(after, ocm_text("the host left")) ? ocm_text("host") : after;
    }
    n = ocm_message_encode(text.scratch, sizeof text.scratch, &m);
    if (n < 0) return;
    n = ocm_datagram_encode(text.out, sizeof text.out, d.room, d.token,
                            view(text.scratch, (size_t)n));
    ocm_session_datagram(&session, text.out, (size_t)n, now);
}

/* ---- The session ---- */

static void talk_leave(void)
{
    stage = LEAVING;
    ocm_session_leave(&session);
}

/* There is a connection. Datagrams are received at its address and port, since a server may take
   either for ours. If another program has that port: connects again, from another one, until the
   session has waited long enough. Once in the room the socket stays, as long as the address does:
   something may be on the way to it. */
static void talk_connected(uint64_t now)
{
    struct sockaddr_storage local = {0};
    socklen len = sizeof local;
    ocm_addr mine = addr_local(net.tcp.socket), old = addr_local(net.udp);
    uint16_t port = htons((uint16_t)atoi(net.home->udp)); /* IPv6 has it where IPv4 has it */
    net.to_len = sizeof net.to;
    getpeername(net.tcp.socket, (struct sockaddr *)&net.to, &net.to_len);
    memcpy((uint8_t *)&net.to + offsetof(struct sockaddr_in, sin_port), &port, sizeof port);
    if (stage == OUTSIDE || memcmp(old.ip, mine.ip, 16) != 0) {
        socket_close(net.udp); /* if there is none, that does no harm */
        net.udp = socket(net.to.ss_family, SOCK_DGRAM, 0);
        if (socket_fits(net.udp) && socket_nonblocking(net.udp) &&
            getsockname(net.tcp.socket, (struct sockaddr *)&local, &len) == 0)
            bind(net.udp, (struct sockaddr *)&local, len);
    }
    mine = addr_local(net.udp);
    if (mine.port > 0) { /* it is bound */
        ocm_session_connected(&session, ocm_text(addr_ip(&mine)), mine.port, now);
    } else {
        socket_close(net.udp);
        net.udp = INVALID_SOCKET;
        link_open(&net.tcp, net.home);
        net.tcp.again = now + PORT_MS;
    }
}

/* 1 if a datagram came. */
static int talk_turn(uint64_t now)
{
    static uint8_t buf[OCM_FRAME_MAX];
    struct sockaddr_storage ss;
    socklen len = sizeof ss;
    ocm_addr from, server;
    int n = link_turn(&net.tcp, now, buf, sizeof buf);
    if (n == LINK_MADE) talk_connected(now);
    else if (n > 0 && opt.text) text_received(buf, (size_t)n, now);
    else if (n != 0) ocm_session_received(&session, buf, n > 0 ? (size_t)n : 0, now);
    n = (int)recvfrom(net.udp, (char *)buf, OCM_DATAGRAM_MAX + 1, 0, (struct sockaddr *)&ss, &len);
    if (n < 0) return 0;
    from = addr_of(&ss);
    server = addr_of(&net.to);
    if (!ocm_same_host(&from, &server)) return 1;
    if (opt.text) text_datagram(buf, (size_t)n, now);
    else ocm_session_datagram(&session, buf, (size_t)n, now);
    return 1;
}

/* ---- Input ---- */

enum { COMMANDS = 7 };

static const char *const commands[COMMANDS][2] = {
    {"/help", "this; //X says /X, Tab completes a name, Up brings back a line"},
    {"/who", "lists who is here"},
    {"/rooms", "lists the rooms"},
    {"/me", "says what follows, as *what follows*"},
    {"/nick", "does not exist: leave, and come back with -n NAME"},
    {"/leave", "leaves, like ^C on an empty line"},
    {"/quit", "leaves, too"}};

/* Carries out a command: what is to be said, or nothing. */
static ocm_view command(const char *line)
{
    static char said[LINE_MAX_LEN + 3];
    char word[16] = "";
    int rest = 0;
    size_t i, nearest = 0;
    sscanf(line, "%15s %n", word, &rest);
    for (i = 0; word[i]; i++) word[i] = (char)tolower((unsigned char)word[i]);
    for (i = 0; i < COMMANDS; i++)
        if (word[1] == commands[i][0][1]) nearest = i;
    if (strcmp(word, commands[nearest][0]) != 0) {
        inform(nothing, "no such command; did you mean %s? To say a line with / first, begin it "
                        "with //", commands[nearest][0]);
        return nothing;
    }
    switch (word[1]) {
    case 'w': list_begin(opt.room, LIST_LINES); break;
    case 'r': list_begin("", LIST_LINES); break;
    case 'l':
    case 'q': talk_leave(); break;
    case 'm':
        if (line[rest]) {
            sprintf(said, "*%s*", line + rest);
            return ocm_text(said);
        } /* fall through */
    default:
        for (i = 0; i < COMMANDS; i++)
            if (nearest == 0 || nearest == i)
                inform(nothing, "%-6s  %s", commands[i][0], commands[i][1]);
    }
    return nothing;
}

/* Says the next line. 0 if there is none, or if it has to wait. */
static int line_say(void)
{
    static char line[LINE_MAX_LEN + 1];
    uint64_t now = clock_ms();
    int waits = (opt.text && now < net.said_at + TEXT_PAUSE_MS) ||
                ocm_session_pending(&session) == OCM_OUTBOX;
    int len = waits ? -1 : line_take(line), result = 1, slash, twice;
    unsigned long most;
    ocm_view v;
    if (len < 0) return 0;
    slash = term.keyboard && line[0] == '/';
    twice = slash && line[1] == '/';
    v = view(line + twice, (size_t)(len - twice));
    if (slash && !twice) v = command(line);
    if (v.len) net.said_at = now;
    if (v.len) result = ocm_session_say(&session, v);
    most = (unsigned long)ocm_session_text_max(&session);
    if (result == OCM_E_LARGE)
        warn("the message is too long: %d bytes, at most %lu are possible%s", len, most,
             (unsigned long)len > most ? "" : ", and fewer here if not all is ASCII");
    else if (result < 0)
        warn("the message is not text: it has control characters or is not UTF-8");
    if (result < 0 && !term.screen) net.status = 1;
    else if (result < 0 && term.len == 0) line_insert(line, (size_t)len); /* to be mended */
    return 1;
}

/* ---- Questions ---- */

#define set(array, text) snprintf(array, sizeof array, "%s", text)

/* Asks whoever sits at the terminal, and waits. What `answer` (LINE_MAX_LEN + 1 bytes) holds can
   be edited, so that nothing has to be typed twice. */
static void ask(const char *question, char *answer, int hidden)
{
    int len;
    line_clear();
    term.question = question;
    term.hidden = hidden;
    line_insert(answer, hidden || !term.screen ? 0 : strlen(answer));
    if (!term.screen) fputs(question, stderr);
    put_out(stderr);
    while ((len = line_take(answer)) < 0 && !term.ended) turn();
    if (len < 0) finish(net.status);
    term.question = NULL;
    term.hidden = 0;
    line_clear();
    line_wipe(); /* it is answered, whatever takes its time now */
    put_out(stdout);
}

/* Our own rules are stricter than the protocol's: some names would be mistaken for the program's
   words, or for each other. */
static int fits(int room, const char *s)
{
    if (!*s || *s == ' ' || s[strlen(s) - 1] == ' ') return 0;
    if (room) return ocm_room_valid(ocm_text(s));
    return ocm_name_valid(ocm_text(s)) && strncmp(s, "* ", 2) != 0;
}

/* Asks for opt.name or opt.room as long as it is not valid, and once if the server refused it; what
   it holds can be edited. An empty answer means the user's name on this machine. */
static void ask_for(char *value)
{
    int room = value == opt.room, refused = value == opt.ask;
    const char *user = environment("USER"), *word = room ? "room" : "name";
    char question[64];
    if (!user) user = environment("USERNAME"); /* on Windows */
    if (room || !user || !fits(0, user) || strlen(user) > 40) user = "";
    sprintf(question, room ? "room to join or create: " : *user ? "name [%s]: " : "name: ", user);
    for (; refused || !fits(room, value); refused = 0) {
        if (*value && !refused)
            warn("\"%s\" cannot be a %s: it must be UTF-8 of 1 to 255 bytes without control or "
                 "direction characters, with no blank at either end%s", value, word,
                 room ? "" : ", no \": \", no \"* \" at the start, and not \"system\"");
        else if (!term.keyboard)
            warn("no %s; give one: client -n NAME ROOM", word);
        if (!term.keyboard) finish(2);
        ask(question, value, 0);
        if (!*value) strcpy(value, user);
        if (room) opt.want = OCM_JOIN_OR_CREATE;
    }
}

/* A new password is asked for twice, since nobody sees what is typed. */
static void find_password(void)
{
    static char again[LINE_MAX_LEN + 1];
    const char *given = opt.text && !opt.list ? NULL : environment("OCM_PASSWORD");
    int new_one = opt.want == OCM_CREATE, asks = opt.ask == opt.password;
    opt.ask = NULL;
    if (given && *given && !*opt.password) {
        set(opt.password, given);
        return;
    }
    if (!asks) return;
    if (!term.screen)
        die("nobody can be asked for a password here; give it as OCM_PASSWORD in the environment");
    for (;;) {
        ask(new_one ? "new password: " : "password: ", opt.password, 1);
        if (!*opt.password && new_one)
            inform(nothing, "without a password the room is open to everybody");
        if (!*opt.password || !new_one) return;
        ask("once more: ", again, 1);
        if (strcmp(opt.password, again) == 0) return;
        warn("those two are not the same");
    }
}

/* Asks for what is not given, and begins a session. */
static void enter(void)
{
    ask_for(opt.name);
    ask_for(opt.room);
    find_password();
    net.home = place_of(opt.room);
    if (ocm_session_open(&session, opt.want, ocm_text(opt.room), ocm_text(opt.name),
                         ocm_text(opt.password)) < 0)
        die("the password is too long or not UTF-8: at most %d bytes", OCM_NAME_MAX);
}

/* ---- Loop ---- */

/* The session is over: says why, and what may not have arrived. */
static void ended(const ocm_action *a)
{
    static const struct {
        const char *words; /* of the room, the name; and a hint if nobody is asked again */
        const char *mend;  /* what whoever sits at a terminal is asked for again */
    } why[] = {
        [OCM_END_UNCONFIRMED] = {"the server did not confirm that you left", NULL},
        [OCM_END_HOST] = {"the host left, and the room is closed", NULL},
        [OCM_END_REMOVED] = {"you have been removed from the room", NULL},
        [OCM_END_NO_ROOM] = {"room \"%s\" does not exist (-c creates it)", opt.room},
        [OCM_END_ROOM_EXISTS] = {"room \"%s\" exists already (-j joins it)", opt.room},
        [OCM_END_NAME_TAKEN] = {"in room \"%s\" the name \"%s\" is taken (-n gives another)",
                                opt.name},
        [OCM_END_PASSWORD] = {"room \"%s\" has a password (-p asks for it, OCM_PASSWORD gives it; "
                              "neither does with -t)", opt.password},
        [OCM_END_FULL] = {"the server or the room is full, or your address joins too often; try "
                          "again later", NULL},
        [OCM_END_REFUSED] = {"the server refused room \"%s\" for \"%s\" (%d)", NULL}};
    unsigned long lost = (unsigned long)a->count + lines_in(term.said, term.said_len);
    const char *mend = term.keyboard && stage == OUTSIDE ? why[a->end].mend : NULL;
    char words[100];
    int before = stage;
    if (mend == opt.password && (!term.screen || opt.text)) mend = NULL;
    stage = OUTSIDE;
    if (a->end == OCM_END_NO_SERVER)
        no_server(net.home, net.tcp.error);
    else if (a->end == OCM_END_NO_ANSWER)
        warn("the server at %s, TCP port %s, gave no answer; some just close when they refuse",
             net.home->host, net.home->tcp);
    else if (a->end == OCM_END_NO_ROOM && before != OUTSIDE)
        warn("room \"%s\" is gone: its host did not come back", opt.room);
    else if (a->end == OCM_END_PASSWORD && *opt.password)
        warn("wrong password for room \"%s\"", opt.room);
    else if ((a->end == OCM_END_HOST || a->end == OCM_END_REMOVED) && a->text.len)
        show_line(a);
    else if (why[a->end].words) {
        snprintf(words, mend ? strcspn(why[a->end].words, "(") : sizeof words, "%s",
                 why[a->end].words);
        warn(words, opt.room, opt.name, a->status);
    }
    if (a->end == OCM_END_REFUSED && a->text.len) inform(a->text, "it says");
    term.said_len = 0; /* what was typed before a question is no answer */
    if (mend) {
        net.status = 1; /* if there is no answer */
        opt.ask = mend;
        enter();
        return;
    }
    if (lost > 0) warn("of your messages, %lu may not have arrived", lost);
    if (a->end > OCM_END_HOST || lost > 0) net.status = 1;
    term.line[term.len] = 0;
    if (term.screen && before == INSIDE && !heard) {
        ask("Enter ends: ", term.line, 0); /* what is being typed must not reach the shell */
        do if (*term.line) inform(ocm_text(term.line), "not sent");
        while (line_take(term.line) >= 0);
    }
    finish(net.status);
}

/* Carries out what the session wants. */
static void act(const ocm_action *a)
{
    static const char *const says[] = {
        [OCM_SHOW_REFUSED] = "the server refused this message",
        [OCM_SHOW_UNKNOWN] = "nobody knows whether this message arrived",
        [OCM_SHOW_MISSED] = "messages that were missed and cannot be had any more",
        [OCM_SHOW_OUTAGE] = "the server does not answer; trying to come back",
        [OCM_SHOW_NO_UDP] = "the server answers by TCP, but nothing comes from its UDP port %s; "
                            "check -s, and that no firewall blocks it",
        [OCM_SHOW_BACK] = "the server is back"};
    char count[24];
    ocm_view out = a->text;
    switch (a->kind) {
    case OCM_DO_CONNECT: link_open(&net.tcp, net.home); break;
    case OCM_DO_REQUEST:
        if (opt.text) out = text_request(out);
        if (send(net.tcp.socket, (const char *)out.ptr, (socklen)out.len, 0) != (int)out.len)
            ocm_session_received(&session, NULL, 0, clock_ms());
        break;
    case OCM_DO_DISCONNECT: link_close(&net.tcp); break;
    case OCM_DO_SEND:
        if (opt.text) out = text_said(out);
        if (out.len)
            sendto(net.udp, (const char *)out.ptr, (socklen)out.len, NO_WAIT,
                   (struct sockaddr *)&net.to, net.to_len);
        break;
    case OCM_SHOW_ENTERED:
        stage = INSIDE;
        net.status = 0;
        net.present = a->seq;
        if (term.screen) printf("\033]2;%s\007", opt.room); /* the window's title */
        inform(nothing, "%s \"%s\" as \"%s\"", a->status == 201 ? "created" : "joined", opt.room,
               opt.name);
        if (!term.screen || opt.text) break;
        if (a->status != 201) list_begin(opt.room, 0);
        else inform(nothing, *opt.password ? "the room has a password, and closes when you leave"
                                           : "the room closes when you leave");
        break;
    case OCM_SHOW_MESSAGE:
    case OCM_SHOW_JOINED: name_heard(a->name); /* fall through */
    case OCM_SHOW_LEFT:
    case OCM_SHOW_NOTICE: show_line(a); break;
    case OCM_END: ended(a); break;
    default:
        if (a->kind == OCM_SHOW_REFUSED) net.status = 1;
        sprintf(count, "%llu", (unsigned long long)a->count);
        inform(a->count ? ocm_text(count) : a->text,
               a->kind == OCM_SHOW_OUTAGE && a->text.len ? "trying to come back"
               : a->kind == OCM_SHOW_BACK && a->status == 201
                   ? "the server is back; the room had closed, and you have opened it again"
                   : says[a->kind],
               net.home->udp);
        if (a->why.len) inform(a->why, "it says");
        break;
    }
}

/* Does what the session wants, and tells when it wants more. */
static uint64_t drain(void)
{
    ocm_action a = {.until = UINT64_MAX};
    while (net.home && ocm_session_next(&session, clock_ms(), &a)) act(&a);
    return a.until;
}

/* A signal tells to leave; but ^C with text in the line only clears that. */
static void obey_signal(void)
{
    if (heard == SIGINT && term.screen && term.len > 0) {
        heard = 0;
        line_clear();
    } else if (heard) {
        talk_leave();
    }
}

/* Says what is to be said; and tells when the session wants to be asked again. */
static uint64_t talk(void)
{
    drain(); /* before anything is said: what came may have ended the session */
    while (stage == INSIDE && line_say()) {}
    if (stage == INSIDE && (ferror(stdout) || (term.ended && !term.said_len))) talk_leave();
    return drain();
}

/* Waits until something happens, and takes what has come: the only place that waits, but for the
   lookup of a host's name and for output. All goes on in it, so whoever waits calls it. A list
   alone leaves the terminal and the input to whatever comes after it. */
static void turn(void)
{
    static uint8_t input[INPUT_MAX];
    static int fruitless; /* turns in which something was to come, and nothing came */
    struct timeval t = {0, 0};
    uint64_t due = talk(), now = clock_ms(), pause = net.said_at + TEXT_PAUSE_MS, ms;
    int attended = net.home || term.question, ready, n = 0, i;
    int wanted = attended && !term.ended && (term.screen || !term.said_len);
    if (term.screen && attended && terminal_keys(1)) term.row[0] = 0;
    line_draw();
    memset(&watch, 0, sizeof watch);
    watch.until = due;
    if (opt.text && pause > now && pause < due) watch.until = pause;
    link_watch(&net.tcp);
    link_watch(&list.link);
    if (net.udp != INVALID_SOCKET) FD_SET(net.udp, &watch.readable);
    if (wanted && INPUT_SOCKET != INVALID_SOCKET) FD_SET(INPUT_SOCKET, &watch.readable);
    ms = watch.until > now ? watch.until - now : 0;
    t.tv_usec = (ms < TURN_MS ? (int)ms : TURN_MS) * 1000;
    ready = select(FD_SETSIZE, &watch.readable, &watch.writable, &watch.failed, &t);
    if (ready <= 0) memset(&watch, 0, sizeof watch);
    if (stage == INSIDE) obey_signal(); /* ^C comes before what was typed after it */
    if (wanted && (INPUT_SOCKET == INVALID_SOCKET || FD_ISSET(INPUT_SOCKET, &watch.readable))) {
        n = input_read(input, sizeof input);
        for (i = 0; i < n && !term.ended; i++) input_take((char)input[i]);
        if (n < 0) term.ended = 1;
        if (n < 0 && !term.screen && term.len > 0) line_enter(); /* the last may lack a newline */
    }
    list_turn(clock_ms());
    fruitless = talk_turn(clock_ms()) || n != 0 || ready == 0 ? 0 : fruitless + 1;
    if (fruitless > 100) nap(10); /* a call fails again and again: not at full speed */
}

/* ---- Main ---- */

static const char usage[] =
    "usage: client [-s HOST[/TCP:UDP]]... [-n NAME] [-p] [-t] [-c ROOM | -j ROOM | ROOM]\n"
    "       client [-s HOST[/TCP:UDP]]... [-p] -l [ROOM]\n"
    "  -s  the server (default 127.0.0.1/8000:9000); of several, the room's name\n"
    "      decides which one has the room, the same for everyone who names the same\n"
    "      servers, in any order\n"
    "  -n  your name\n"
    "  -c  create a room; -j joins one; ROOM alone joins it or creates it\n"
    "  -l  list the rooms, or the members of one, and end\n"
    "  -p  ask for the room's password, with -c for a new one twice; OCM_PASSWORD in\n"
    "      the environment is used even without -p\n"
    "  -t  speak the plain text dialect, which other servers may want; it cannot say\n"
    "      that you leave or are still there: your name stays taken for some minutes\n"
    "  -h, --help  this text            -V, --version  the version\n";

/* HOST[/TCP:UDP]. */
static void add_place(const char *arg)
{
    static const char *const forms[] = {"%255[^/]%n/%5[0-9]:%5[0-9]%n",
                                        "[%255[^]]]%n/%5[0-9]:%5[0-9]%n"}; /* as in a URL */
    place p = {"", "8000", "9000", "", NULL};
    int end = 0;
    int n = sscanf(arg, forms[*arg == '['], p.host, &end, p.tcp, p.udp, &end);
    int tcp = atoi(p.tcp), udp = atoi(p.udp);
    char *c = strchr(p.host, ':'); /* HOST:PORT is not meant */
    size_t i;
    if (n < 1 || arg[end] || (c && !strchr(c + 1, ':')) || tcp < 1 || tcp > 65535 || udp < 1 ||
        udp > 65535)
        die("-s %s: write HOST or HOST/TCP:UDP with ports from 1 to 65535, for example "
            "-s 127.0.0.1/8000:9000", arg);
    /* looked up as it is hashed: some systems tell capitals apart in /etc/hosts */
    for (c = p.host; *c && *c != '%'; c++) /* after % comes the name of an interface */
        *c = (char)tolower((unsigned char)*c);
    sprintf(p.name, "%s/%d:%d", p.host, tcp, udp);
    for (i = 0; i < net.place_count; i++)
        if (strcmp(net.places[i].name, p.name) == 0) return;
    if (net.place_count == PLACES_MAX)
        die("-s %s: at most %d servers; leave one out", arg, PLACES_MAX);
    net.places[net.place_count++] = p;
}

static void read_options(int argc, char **argv)
{
    int i;
    for (i = 1; i < argc; i++) {
        const char *arg = argv[i];
        int letter = arg[0] != '-' ? 0 : arg[1] && !arg[2] ? arg[1] : '?';
        if (strcmp(arg, "--help") == 0) letter = 'h';
        if (strcmp(arg, "--version") == 0) letter = 'V';
        if (letter && strchr("sncj", letter)) {
            if (++i == argc) die("%s wants a value; see client -h", arg);
            arg = argv[i];
        }
        switch (letter) {
        case 'h': fputs(usage, stdout); finish(0); break;
        case 'V': printf("client %s\n", OCM_VERSION); finish(0); break;
        case 'l': opt.list = 1; break;
        case 'p': opt.ask = opt.password; break;
        case 't': opt.text = 1; break;
        case 's': add_place(arg); break;
        case 'n': set(opt.name, arg); break;
        case 'c':
        case 'j':
        case 0:
            if (*opt.room)
                die("one room at a time: \"%s\" or \"%s\"; if that is one name with a blank, "
                    "quote it: \"%s %s\"", opt.room, arg, opt.room, arg);
            set(opt.room, arg);
            opt.want = letter == 'c' ? OCM_CREATE : letter == 'j' ? OCM_JOIN : OCM_JOIN_OR_CREATE;
            break;
        default: die("unknown option \"%s\"; see client -h", arg);
        }
    }
    if (net.place_count == 0) add_place("127.0.0.1");
}

int main(int argc, char **argv)
{
    const char *no_color = environment("NO_COLOR"), *terminal = environment("TERM");
    if (!platform_start()) die("the system gives no sockets");
    program_start(&argc, &argv);
    setvbuf(stdout, NULL, _IOFBF, 65536);
    setvbuf(stderr, NULL, _IOFBF, 4096); /* a sentence leaves in one piece */
    read_options(argc, argv);
    term.keyboard = is_terminal(stdin);
    if (!terminal || !*terminal) terminal = USUAL_TERM;
    term.screen = term.keyboard && is_terminal(stdout) && strcmp(terminal, "dumb") != 0;
    term.colour = term.screen && !(no_color && *no_color);
    if (opt.text && opt.ask && !opt.list)
        die("the plain text dialect has no passwords; leave out -p or -t");
    if (opt.list) {
        if (opt.want != OCM_JOIN_OR_CREATE) die("-l only lists; leave out -c and -j");
        if (*opt.room) ask_for(opt.room);
        find_password();
        if (strlen(opt.password) > OCM_NAME_MAX)
            die("the password is too long: it has at most %d bytes", OCM_NAME_MAX);
        list_begin(opt.room, ULONG_MAX);
    } else if (term.keyboard && !opt.text && (!*opt.name || !*opt.room)) {
        list_begin("", LIST_LINES);
    }
    while (list.at < list.end) turn();
    if (opt.list) finish(!list.all);
    if (list.end && !list.reached) finish(1); /* that is told before anything is asked */
    enter();
    for (;;) turn();
}
