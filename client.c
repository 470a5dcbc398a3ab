/* client.c - a chat client: one select() loop around ocm.h

   cc -o client client.c              (Windows: gcc -o client client.c -lws2_32)
   ./client                           asks for all it needs
   ./client -n alice lobby            joins "lobby" on this machine, or creates it
   echo hi | ./client -n bot lobby    on a pipe each line is a message, each message a line
   ./client -h                        all options

   What is said on the wire, repeated, and put in order is decided in ocm.h. Here are sockets, time and the terminal. */

/* ---- Platform: every #ifdef of this file. server.c has a block of the same kind: each program is one file that a reader
   can take away, and ocm.h is to know nothing of sockets. ---- */

#ifdef _WIN32
#define _WIN32_WINNT 0x0600
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>
#include <io.h>
#ifdef _MSC_VER
#pragma comment(lib, "ws2_32")
#endif
typedef SOCKET socket_t;
typedef int socklen;
#else
#define _DEFAULT_SOURCE
#define _DARWIN_C_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>
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

#ifdef _WIN32
static void socket_close(socket_t s) { closesocket(s); }
static int socket_error(void) { return WSAGetLastError(); }
static int socket_full(int e) { return e == WSAEWOULDBLOCK || e == WSAENOBUFS || e == WSAEINTR; }
static int socket_connecting(int e) { return e == WSAEWOULDBLOCK; }
static int socket_send(socket_t s, const uint8_t *p, size_t len) { return send(s, (const char *)p, (int)len, 0); }
static int socket_receive(socket_t s, uint8_t *p, size_t len) { return recv(s, (char *)p, (int)len, 0); }
static void socket_send_to(socket_t s, ocm_view v, const struct sockaddr *to, socklen len)
{
    sendto(s, (const char *)v.ptr, (int)v.len, 0, to, len);
}

static int socket_nonblocking(socket_t s)
{
    u_long on = 1;
    return ioctlsocket(s, FIONBIO, &on) == 0;
}

static uint64_t clock_ms(void) { return GetTickCount64(); }
static int is_terminal(FILE *f) { return _isatty(_fileno(f)); }

/* Windows cannot select() on its standard input: the loop looks at it in short turns. */
#define INPUT_TURN_MS 50
static int input_watch(fd_set *set) { return (void)set, 0; }

/* Until there may be input. */
static void input_wait(fd_set *set)
{
    FD_ZERO(set);
    Sleep(INPUT_TURN_MS);
}

/* Arrows and the like come without a character: as what a terminal would send. */
static size_t input_named(WORD code, uint8_t *p)
{
    static const struct { WORD code; const char *bytes; } named[] = {
        {VK_UP, "\033[A"}, {VK_DOWN, "\033[B"}, {VK_RIGHT, "\033[C"}, {VK_LEFT, "\033[D"},
        {VK_HOME, "\033[H"}, {VK_END, "\033[F"}, {VK_DELETE, "\033[3~"}};
    size_t i, len = 0;
    for (i = 0; i < sizeof named / sizeof named[0]; i++)
        if (named[i].code == code) memcpy(p, named[i].bytes, len = strlen(named[i].bytes));
    return len;
}

static size_t input_keys(HANDLE in, uint8_t *p)
{
    static WCHAR high;
    INPUT_RECORD key;
    WCHAR wide[2];
    DWORD n;
    int len = 0;
    if (!ReadConsoleInputW(in, &key, 1, &n) || key.EventType != KEY_EVENT || !key.Event.KeyEvent.bKeyDown) return 0;
    wide[0] = key.Event.KeyEvent.uChar.UnicodeChar;
    if (wide[0] == 0) return input_named(key.Event.KeyEvent.wVirtualKeyCode, p);
    if (wide[0] >= 0xD800 && wide[0] < 0xDC00) {
        high = wide[0];
        return 0;
    }
    if (wide[0] >= 0xDC00 && wide[0] < 0xE000) wide[1] = wide[0], wide[0] = high, len = 1;
    return (size_t)WideCharToMultiByte(CP_UTF8, 0, wide, len + 1, (char *)p, 4, NULL, NULL);
}

/* > 0 bytes read, 0 nothing now, < 0 the end. cap is at least 4. */
static int input_read(const fd_set *set, uint8_t *p, size_t cap)
{
    HANDLE in = GetStdHandle(STD_INPUT_HANDLE);
    DWORD n = 0;
    (void)set;
    if (is_terminal(stdin)) return GetNumberOfConsoleInputEvents(in, &n) && n ? (int)input_keys(in, p) : 0;
    if (GetFileType(in) == FILE_TYPE_PIPE && PeekNamedPipe(in, NULL, 0, NULL, &n, NULL) && n == 0) return 0;
    return ReadFile(in, p, (DWORD)cap, &n, NULL) && n ? (int)n : -1;
}

static void terminal_raw(void)
{
    DWORD mode = 0;
    HANDLE out = GetStdHandle(STD_OUTPUT_HANDLE);
    SetConsoleOutputCP(CP_UTF8);
    GetConsoleMode(out, &mode);
    SetConsoleMode(out, mode | 0x0004 /* ENABLE_VIRTUAL_TERMINAL_PROCESSING */);
    SetConsoleMode(GetStdHandle(STD_INPUT_HANDLE), 0);
}

static int terminal_columns(void)
{
    CONSOLE_SCREEN_BUFFER_INFO info;
    return GetConsoleScreenBufferInfo(GetStdHandle(STD_OUTPUT_HANDLE), &info) ? info.srWindow.Right - info.srWindow.Left + 1 : 80;
}

static int platform_start(void)
{
    WSADATA data;
    return WSAStartup(MAKEWORD(2, 2), &data) == 0;
}
#else
static void socket_close(socket_t s) { close(s); }
static int socket_error(void) { return errno; }
static int socket_full(int e) { return e == EAGAIN || e == EWOULDBLOCK || e == ENOBUFS || e == EINTR; }
static int socket_connecting(int e) { return e == EINPROGRESS; }
static int socket_send(socket_t s, const uint8_t *p, size_t len) { return (int)send(s, p, len, 0); }
static int socket_receive(socket_t s, uint8_t *p, size_t len) { return (int)recv(s, p, len, 0); }
static void socket_send_to(socket_t s, ocm_view v, const struct sockaddr *to, socklen len) { (void)!sendto(s, v.ptr, v.len, 0, to, len); }
static int socket_nonblocking(socket_t s) { return fcntl(s, F_SETFL, O_NONBLOCK) == 0; }
static int is_terminal(FILE *f) { return isatty(fileno(f)); }

static uint64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

#define INPUT_TURN_MS 1000
static int input_watch(fd_set *set)
{
    FD_SET(STDIN_FILENO, set);
    return STDIN_FILENO;
}

/* Until there may be input. */
static void input_wait(fd_set *set)
{
    struct timeval t = {INPUT_TURN_MS / 1000, 0};
    FD_ZERO(set);
    if (select(input_watch(set) + 1, set, NULL, NULL, &t) < 0) FD_ZERO(set);
}

/* > 0 bytes read, 0 nothing now, < 0 the end. */
static int input_read(const fd_set *set, uint8_t *p, size_t cap)
{
    ssize_t n;
    if (!FD_ISSET(STDIN_FILENO, set)) return 0;
    n = read(STDIN_FILENO, p, cap);
    return n > 0 ? (int)n : n < 0 && socket_full(errno) ? 0 : -1;
}

static struct termios cooked;

static void terminal_cooked(void)
{
    fputs("\033[?2004l", stdout);
    fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &cooked);
}

static void on_resize(int sig) { (void)sig; } /* ends the waiting: the loop looks how wide the window is */

/* Each key as it is pressed, nothing shown by itself, and marks around what is pasted. */
static void terminal_raw(void)
{
    struct termios raw;
    tcgetattr(STDIN_FILENO, &cooked);
    raw = cooked;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | IEXTEN);
    raw.c_cc[VQUIT] = raw.c_cc[VSUSP] = _POSIX_VDISABLE; /* ^C stays a signal: it is heard when nothing is read, too */
    raw.c_iflag &= ~(tcflag_t)(IXON);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    atexit(terminal_cooked);
    fputs("\033[?2004h", stdout);
    signal(SIGWINCH, on_resize);
}

static int terminal_columns(void)
{
    struct winsize w;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

/* A descriptor that was closed for us (<&-) must not become a socket's: it would be read as the user's input. */
static int platform_start(void)
{
    int fd;
    do fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) close(fd);
    return signal(SIGPIPE, SIG_IGN) != SIG_ERR;
}
#endif

/* ---- State ---- */

#define LIST_MS 2000   /* how long a list may take */
#define PLACES_MAX 16
#define ADDRESSES_MAX 4   /* of a server, that are asked for a list */
#define LINE_MAX_LEN 8192 /* bytes of a line of input that are kept: more than any message may have */
#define HISTORY_MAX 100   /* lines */

#define NAME_RULE "1 to 255 bytes, no control characters, no colon and space, not \"system\""
#define ROOM_RULE "1 to 255 bytes, no control characters"
#define NO_HOST "there is no host \"%s\"; give the server's with -s"

typedef struct options {
    const char *name, *room;
    int want, form, list, ask_password;
} options;

typedef struct place { /* a server, as -s tells it */
    const char *host, *tcp, *udp;
    char name[300];             /* HOST/TCP:UDP in one way of writing: ocm_pick() hashes it */
    struct addrinfo *addresses; /* NULL: not looked up yet */
} place;

typedef struct query { /* an address of a server that is asked for a list */
    const place *of;
    socket_t socket;
    int sent, complete;
    ocm_frame frame; /* the answer, once it is complete */
    size_t len;
    uint8_t buf[OCM_ANSWER_MAX + OCM_NAME_MAX];
} query;

typedef struct editor { /* the line being typed; on a pipe, the line being read */
    char text[LINE_MAX_LEN + 1];
    size_t len, at, lost; /* at: the cursor; lost: bytes that did not fit */
    const char *prompt;   /* NULL: nothing is shown */
    int hidden, pasting;  /* hidden: a password; pasting: between the marks of a paste */
    char sequence[8];     /* of a key's escape sequence, what has come of it: */
    size_t escape;        /* so many bytes, 0 outside of one */
    size_t back;          /* which line of the history this is, counted from the newest; 0: none of them */
    int columns;          /* of the window, when it was drawn */
} editor;

static ocm_session session;
static place places[PLACES_MAX];
static size_t place_count;
static const place *home;              /* the server that has the room */
static const struct addrinfo *address; /* the one of its addresses in use */
static socket_t tcp = INVALID_SOCKET, udp = INVALID_SOCKET;
static int connected;
static uint8_t answer[OCM_FRAME_MAX]; /* what came by TCP */
static size_t answer_len;
static query queries[PLACES_MAX * ADDRESSES_MAX];
static size_t query_count;
static editor line;
static char *history[HISTORY_MAX]; /* the lines that were entered, the newest last */
static size_t history_count;
static char draft[LINE_MAX_LEN + 1]; /* the line under way, while an older one is looked at */
static uint8_t input[4096]; /* read, but not yet taken */
static size_t input_len, input_at;
static int interactive, colour, input_ended;
static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
    (void)sig;
    interrupted++;
}

static void complain(const char *format, va_list args)
{
    fputs("client: ", stderr);
    vfprintf(stderr, format, args);
    fputs("\n", stderr);
}

static void die(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    complain(format, args);
    va_end(args);
    exit(status);
}

static char *keep(const char *s)
{
    char *copy = (char *)malloc(strlen(s) + 1);
    if (!copy) die(1, "no memory");
    return strcpy(copy, s);
}

/* ---- Terminal ---- */

/* Columns that a character takes at most: 0 for combining ones, 2 for East Asian wide ones and pictures. */
static int columns_of(uint32_t c)
{
    if ((c >= 0x300 && c <= 0x36F) || (c >= 0x200B && c <= 0x200F) || (c >= 0xFE00 && c <= 0xFE0F) || (c >= 0x20D0 && c <= 0x20FF))
        return 0;
    if ((c >= 0x1100 && c <= 0x115F) || (c >= 0x2E80 && c <= 0xA4CF) || (c >= 0xAC00 && c <= 0xD7A3) || (c >= 0xF900 && c <= 0xFAFF) ||
        (c >= 0xFE30 && c <= 0xFE6F) || (c >= 0xFF00 && c <= 0xFF60) || (c >= 0xFFE0 && c <= 0xFFE6) || (c >= 0x231A && c <= 0x27BF) ||
        (c >= 0x2B00 && c <= 0x2BFF) || c >= 0x1F000)
        return 2;
    return 1;
}

/* Writes what a stranger wrote: what would move the cursor, or reorder the line, is shown and not executed. */
static void put_safe(FILE *f, ocm_view v)
{
    size_t i = 0;
    while (i < v.len) {
        uint32_t c = 0;
        int n = ocm_utf8_decode(v.ptr + i, v.len - i, &c);
        if (n == 0) fprintf(f, "\\x%02x", (unsigned)v.ptr[i]);
        else if ((c < 0x20 && c != '\t') || (c >= 0x7F && c <= 0x9F)) fprintf(f, "\\x%02x", (unsigned)c);
        else if ((c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0x2028 || c == 0x2029)
            fprintf(f, "\\u%04x", (unsigned)c);
        else fwrite(v.ptr + i, 1, (size_t)n, f);
        i += n ? (size_t)n : 1;
    }
}

/* Writes what is being typed: each character takes the columns that columns_of() says, or one. */
static void put_typed(const char *text, size_t len)
{
    size_t i = 0;
    while (i < len) {
        uint32_t c = 0;
        int n = ocm_utf8_decode((const uint8_t *)text + i, len - i, &c);
        if (n && c >= 0x20 && (c < 0x7F || c > 0x9F)) fwrite(text + i, 1, (size_t)n, stdout);
        else putchar(c == '\t' ? ' ' : '?');
        i += n ? (size_t)n : 1;
    }
}

/* The end of the character at a place of the line, and of the combining ones after it; *columns grows by what it takes. */
static size_t step_on(const editor *e, size_t at, int *columns)
{
    size_t start = at;
    while (at < e->len) {
        uint32_t c = 0;
        int n = ocm_utf8_decode((const uint8_t *)e->text + at, e->len - at, &c), wide = n ? columns_of(c) : 1;
        if (at > start && wide > 0) break;
        at += n ? (size_t)n : 1;
        *columns += wide;
    }
    return at;
}

/* Where the character before a place begins. */
static size_t step_back(const editor *e, size_t at)
{
    size_t before = 0, next = 0;
    int columns = 0;
    while (next < at) before = next, next = step_on(e, next, &columns);
    return before;
}

/* How far the line can be shown from a place on in so many columns. */
static size_t step_columns(const editor *e, size_t at, int columns)
{
    int used = 0;
    size_t next = at;
    while (next < e->len && used <= columns) {
        at = next;
        next = step_on(e, at, &used);
    }
    return used <= columns ? next : at;
}

static int columns_between(const editor *e, size_t from, size_t to)
{
    int columns = 0;
    while (from < to) from = step_on(e, from, &columns);
    return columns;
}

#define WIPE "\r\033[J" /* down to the end of the window: a narrower one may have broken the row in two */

/* Shows the prompt and, around the cursor, as much of the line as fits beside it: one row, so that it can be wiped. To the
   right of the cursor goes what there is, up to half of the row. */
static void editor_draw(editor *e)
{
    int row = (e->columns = terminal_columns()) - 1, prompt = (int)strlen(e->prompt), width, after, excess;
    size_t from, to;
    if (prompt > row - 8) prompt = row > 8 ? row - 8 : 0;
    width = row > prompt ? row - prompt : 1;
    after = columns_between(e, e->at, e->len);
    excess = columns_between(e, 0, e->at) + (after < width / 2 ? after : width / 2) - width;
    from = excess > 0 ? step_columns(e, 0, excess + 1) : 0; /* + 1: half a wide character cannot go */
    if (from > e->at) from = e->at; /* between a character and its combining ones */
    to = step_columns(e, from, width);
    printf(WIPE "%.*s", prompt, e->prompt);
    if (!e->hidden) {
        put_typed(e->text + from, e->at - from);
        fputs("\0337", stdout); /* the terminal itself remembers the cursor: it knows best how wide its characters are */
        put_typed(e->text + e->at, to - e->at);
        fputs("\0338", stdout);
    }
    fflush(stdout);
}

/* Flushes: what comes next may go to stderr. */
static void editor_wipe(void)
{
    if (!interactive || !line.prompt) return;
    fputs(WIPE, stdout);
    fflush(stdout);
}

static void editor_restore(void)
{
    if (interactive && line.prompt) editor_draw(&line);
    fflush(stdout);
}

/* Another width of the window: the row is to fit again. */
static void editor_follow(void)
{
    if (interactive && line.prompt && line.columns != terminal_columns()) editor_draw(&line);
}

static void editor_clear(editor *e) { e->len = e->at = e->lost = e->back = 0; }

/* Takes bytes out of the line; the cursor is then where they were. */
static void editor_erase(editor *e, size_t from, size_t to)
{
    memmove(e->text + from, e->text + to, e->len - to);
    e->len -= to - from;
    e->at = from;
}

static void editor_erase_word(editor *e)
{
    size_t from = e->at;
    while (from > 0 && e->text[from - 1] == ' ') from--;
    while (from > 0 && e->text[from - 1] != ' ') from--;
    editor_erase(e, from, e->at);
}

static void editor_insert(editor *e, int c)
{
    if (e->len == LINE_MAX_LEN) return;
    memmove(e->text + e->at + 1, e->text + e->at, e->len - e->at);
    e->text[e->at++] = (char)c;
    e->len++;
}

static void history_add(const char *text)
{
    if (history_count && strcmp(history[history_count - 1], text) == 0) return;
    if (history_count == HISTORY_MAX) {
        free(history[0]);
        memmove(history, history + 1, sizeof history - sizeof history[0]);
        history_count--;
    }
    history[history_count++] = keep(text);
}

/* Puts a line of the history in place of the one that is there, or the line under way (0). A password has no history. */
static void editor_recall(editor *e, size_t back)
{
    if (back > history_count || e->hidden) return;
    e->text[e->len] = 0;
    if (e->back == 0) strcpy(draft, e->text);
    e->back = back;
    strcpy(e->text, back ? history[history_count - back] : draft);
    e->len = e->at = strlen(e->text);
}

enum { /* above 255: no byte of their own */
    CTRL_A = 1, CTRL_B, CTRL_C, CTRL_D, CTRL_E, CTRL_F, CTRL_H = 8, CTRL_K = 11, CTRL_N = 14, CTRL_P = 16, CTRL_U = 21, CTRL_W = 23,
    KEY_ESCAPE = 27, KEY_RUBOUT = 127, KEY_DELETE = 256, KEY_PASTE, KEY_PASTED
};
enum { KEY_NONE, KEY_LINE, KEY_END }; /* what a key does beyond the line */

/* One byte of an escape sequence. The key that it completes; 0: it goes on, or it is none that is known here. */
static int escape_key(editor *e, int c)
{
    static const struct { const char *sequence; int key; } known[] = {
        {"\033[A", CTRL_P}, {"\033OA", CTRL_P}, {"\033[B", CTRL_N}, {"\033OB", CTRL_N}, {"\033[C", CTRL_F}, {"\033OC", CTRL_F},
        {"\033[D", CTRL_B}, {"\033OD", CTRL_B}, {"\033[H", CTRL_A}, {"\033OH", CTRL_A}, {"\033[1~", CTRL_A}, {"\033[7~", CTRL_A},
        {"\033[F", CTRL_E}, {"\033OF", CTRL_E}, {"\033[4~", CTRL_E}, {"\033[8~", CTRL_E}, {"\033[3~", KEY_DELETE},
        {"\033[200~", KEY_PASTE}, {"\033[201~", KEY_PASTED}};
    size_t i;
    if (c == KEY_ESCAPE) e->escape = 0;
    if (e->escape < sizeof e->sequence - 1) e->sequence[e->escape++] = (char)c;
    if (e->escape == 1 || (e->escape == 2 && (c == '[' || c == 'O'))) return 0;
    if (e->escape > 2 && (c < '@' || (e->escape == 3 && c == '['))) return 0; /* ESC [ [ A: F1 of the Linux console */
    e->sequence[e->escape] = 0;
    e->escape = 0;
    for (i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(e->sequence, known[i].sequence) == 0) return known[i].key;
    return 0;
}

static int is_text(int key) { return key == '\t' || (key >= ' ' && key <= 0xFF && key != KEY_RUBOUT); }

static int editor_key(editor *e, int key)
{
    int columns = 0;
    if (key == '\r' || key == '\n') return KEY_LINE;
    if (key == CTRL_C || (key == CTRL_D && e->len == 0)) return KEY_END;
    if (key == CTRL_A) e->at = 0;
    else if (key == CTRL_E) e->at = e->len;
    else if (key == CTRL_B) e->at = step_back(e, e->at);
    else if (key == CTRL_F) e->at = step_on(e, e->at, &columns);
    else if (key == CTRL_H || key == KEY_RUBOUT) editor_erase(e, step_back(e, e->at), e->at);
    else if (key == CTRL_D || key == KEY_DELETE) editor_erase(e, e->at, step_on(e, e->at, &columns));
    else if (key == CTRL_K) editor_erase(e, e->at, e->len);
    else if (key == CTRL_U) editor_erase(e, 0, e->at);
    else if (key == CTRL_W) editor_erase_word(e);
    else if (key == CTRL_P) editor_recall(e, e->back + 1);
    else if (key == CTRL_N && e->back > 0) editor_recall(e, e->back - 1);
    else if (is_text(key)) editor_insert(e, key);
    return KEY_NONE; /* ^L, too: the row is drawn after every key */
}

/* One byte from the keyboard. Of what is pasted only text counts, and the ends of its lines. */
static int editor_byte(editor *e, int c)
{
    int key = c;
    if (c == KEY_ESCAPE || (e->escape && c >= ' ' && c < KEY_RUBOUT)) key = escape_key(e, c);
    else e->escape = 0; /* no byte of a sequence: it has broken off */
    if (key == KEY_PASTE || key == KEY_PASTED) e->pasting = key == KEY_PASTE;
    else if (!e->pasting || is_text(key) || key == '\r' || key == '\n') return editor_key(e, key);
    return KEY_NONE;
}

/* Takes bytes from the input until a line is whole. */
static int editor_take(editor *e)
{
    int key = KEY_NONE;
    while (key == KEY_NONE && input_at < input_len) {
        uint8_t c = input[input_at++];
        if (interactive) key = editor_byte(e, c);
        else if (c == '\n') key = KEY_LINE;
        else if (e->len < LINE_MAX_LEN) e->text[e->len++] = (char)c;
        else e->lost++;
    }
    if (interactive && e->prompt) editor_draw(e);
    if (key == KEY_LINE && !interactive && e->len > 0 && e->text[e->len - 1] == '\r') e->len--;
    return key;
}

static void input_fill(const fd_set *set)
{
    int n;
    if (input_at < input_len || input_ended) return;
    n = input_read(set, input, sizeof input);
    input_at = 0;
    input_len = n > 0 ? (size_t)n : 0;
    if (n < 0) input_ended = 1;
}

/* Asks the person at the terminal, and waits. The answer stays valid until the next line is read. */
static const char *ask(const char *prompt, int hidden)
{
    static char text[LINE_MAX_LEN + 1];
    int key = KEY_NONE;
    line.prompt = prompt;
    line.hidden = hidden;
    editor_clear(&line);
    editor_draw(&line);
    while (key == KEY_NONE && !interrupted) {
        fd_set set;
        if (input_at == input_len) input_wait(&set);
        editor_follow();
        input_fill(&set);
        key = input_ended ? KEY_END : editor_take(&line);
    }
    fputs("\n", stdout);
    if (interrupted) exit(130);
    if (key == KEY_END) exit(0);
    memcpy(text, line.text, line.len);
    text[line.len] = 0;
    line.prompt = NULL;
    line.hidden = 0;
    editor_clear(&line);
    return text;
}

/* ---- Showing ---- */

/* A line of the program's own about the session: on stderr, where a pipe does not read it as a message. */
static void inform(const char *format, ...)
{
    va_list args;
    editor_wipe();
    va_start(args, format);
    if (interactive) {
        fputs("* ", stdout);
        vprintf(format, args);
        fputs("\n", stdout);
    } else {
        vfprintf(stderr, format, args);
        fputs("\n", stderr);
    }
    va_end(args);
    editor_restore();
}

/* What went wrong, and the program goes on. */
static void warn(const char *format, ...)
{
    va_list args;
    editor_wipe();
    va_start(args, format);
    complain(format, args);
    va_end(args);
}

static void show_line(ocm_view who, ocm_view text, int notice)
{
    unsigned hash = 0;
    size_t i;
    for (i = 0; i < who.len; i++) hash = hash * 31 + who.ptr[i];
    editor_wipe();
    if (notice) fputs("* ", stdout);
    if (colour && who.len) printf("\033[1;3%um", 1 + hash % 6);
    put_safe(stdout, who);
    if (colour && who.len) fputs("\033[0m", stdout);
    if (who.len) fputs(": ", stdout);
    put_safe(stdout, text);
    fputs("\n", stdout);
    editor_restore();
    if (ferror(stdout)) ocm_session_leave(&session); /* nobody reads us any more */
}

static void show(const options *o, const ocm_action *a)
{
    const ocm_view nobody = {NULL, 0};
    if (a->kind == OCM_SHOW_MESSAGE && (interactive || !a->own)) show_line(a->who, a->text, 0);
    else if (a->kind == OCM_SHOW_NOTICE) show_line(nobody, a->text, 1);
    else if (a->kind == OCM_SHOW_IN) inform("%s \"%s\" as \"%s\"", a->status == 201 ? "created" : "joined", o->room, o->name);
    else if (a->kind == OCM_SHOW_MISSED) inform("%llu messages were missed: the server no longer has them", (unsigned long long)a->count);
    else if (a->kind == OCM_SHOW_SILENT) inform("the server does not answer; trying to come back");
    else if (a->kind == OCM_SHOW_BACK) inform("the server is back");
    else if (a->kind == OCM_SHOW_UNSURE)
        inform("it is not known whether this was delivered: %.*s", (int)a->text.len, (const char *)a->text.ptr);
    else if (a->kind == OCM_SHOW_REFUSED) {
        inform("the server refused this message: %.*s", (int)a->text.len, (const char *)a->text.ptr);
        if (a->who.len) show_line(nobody, a->who, 1);
    }
}

/* How a session ended, as a sentence and an exit status. */
static int farewell(const options *o, const ocm_action *a)
{
    const ocm_view nobody = {NULL, 0};
    editor_wipe();
    line.prompt = NULL;
    if (a->kind == OCM_END_OUT) show_line(nobody, a->text, 1);
    if (a->kind == OCM_END_OUT && a->count)
        fprintf(stderr, "client: messages of yours that are not confirmed: %llu\n", (unsigned long long)a->count);
    if (a->kind == OCM_END_LEFT || a->kind == OCM_END_OUT) return 0;
    fputs("client: ", stderr);
    if (a->kind == OCM_END_UNCONFIRMED) {
        fprintf(stderr, "the server %s did not confirm that you left", home->name);
        if (a->count) fprintf(stderr, "; messages of yours that are not confirmed: %llu", (unsigned long long)a->count);
    } else if (a->kind == OCM_END_NO_ANSWER) {
        fprintf(stderr, "no answer from a chat server at %s, TCP port %s; give its address with -s", home->host, home->tcp);
    } else if (a->status == 404) {
        fprintf(stderr, "room \"%s\" does not exist; create it with -c %s", o->room, o->room);
    } else if (a->status == 401) {
        fprintf(stderr, "wrong password for room \"%s\"; give it with -p", o->room);
    } else if (a->status == 409 && o->want == OCM_CREATE) {
        fprintf(stderr, "room \"%s\" exists already; join it with -j %s", o->room, o->room);
    } else if (a->status == 409) {
        fprintf(stderr, "the name \"%s\" is taken in room \"%s\"; choose another with -n", o->name, o->room);
    } else if (a->status == 503) {
        fprintf(stderr, "the server is full; try again later");
    } else {
        fprintf(stderr, "the server refused room \"%s\" for \"%s\" (%d): ", o->room, o->name, a->status);
        put_safe(stderr, a->text);
    }
    fputs("\n", stderr);
    return 1;
}

/* ---- Sockets ---- */

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
    } else {
        struct sockaddr_in6 in6;
        memcpy(&in6, ss, sizeof in6);
        memcpy(a.ip, &in6.sin6_addr, 16);
        a.port = ntohs(in6.sin6_port);
        a.scope = in6.sin6_scope_id;
    }
    return a;
}

static void set_port(struct sockaddr_storage *ss, unsigned port)
{
    uint16_t p = htons((uint16_t)port);
    if (ss->ss_family == AF_INET) memcpy((uint8_t *)ss + offsetof(struct sockaddr_in, sin_port), &p, 2);
    else memcpy((uint8_t *)ss + offsetof(struct sockaddr_in6, sin6_port), &p, 2);
}

static void close_tcp(void)
{
    if (tcp != INVALID_SOCKET) socket_close(tcp);
    tcp = INVALID_SOCKET;
    connected = 0;
    answer_len = 0;
}

/* A connection to that address, begun, or INVALID_SOCKET. */
static socket_t connect_to(const struct addrinfo *to)
{
    socket_t s = socket(to->ai_family, SOCK_STREAM, 0);
    if (s == INVALID_SOCKET) return s;
    if (socket_nonblocking(s) && (connect(s, to->ai_addr, (socklen)to->ai_addrlen) == 0 || socket_connecting(socket_error()))) return s;
    socket_close(s);
    return INVALID_SOCKET;
}

/* Begins to connect to this address of the server, or to the next that takes it. 0 when none is left: the last one tried stays
   in use, for datagrams go on. */
static int connect_begin(const struct addrinfo *to)
{
    close_tcp();
    for (; to && tcp == INVALID_SOCKET; to = to->ai_next) {
        address = to;
        tcp = connect_to(to);
    }
    return tcp != INVALID_SOCKET;
}

/* Empties the sets when nothing has come until then. */
static void select_until(int top, fd_set *readable, fd_set *writable, uint64_t until)
{
    uint64_t now = clock_ms(), ms = until > now ? until - now : 0;
    struct timeval t;
    t.tv_sec = (long)(ms / 1000);
    t.tv_usec = (long)(ms % 1000) * 1000;
    if (select(top + 1, readable, writable, NULL, &t) > 0) return;
    FD_ZERO(readable);
    FD_ZERO(writable);
}

/* The server may send to the port of the TCP connection, so that is where we receive, or wherever there is room. */
static int open_udp(int other_port, struct sockaddr_storage *local)
{
    socklen len = sizeof *local;
    memset(local, 0, sizeof *local);
    if (getsockname(tcp, (struct sockaddr *)local, &len) != 0) return 0;
    if (udp != INVALID_SOCKET) socket_close(udp);
    udp = socket(local->ss_family, SOCK_DGRAM, 0);
    if (udp == INVALID_SOCKET || !socket_nonblocking(udp)) return 0;
    if (bind(udp, (struct sockaddr *)local, len) == 0) return 1;
    if (!other_port) return 0;
    set_port(local, 0);
    return bind(udp, (struct sockaddr *)local, len) == 0 && getsockname(udp, (struct sockaddr *)local, &len) == 0;
}

static void send_request(const options *o, uint64_t now)
{
    struct sockaddr_storage local;
    ocm_view request;
    ocm_addr a;
    char ip[INET6_ADDRSTRLEN] = "";
    if (!open_udp(o->form == OCM_FORM_JSON, &local)) {
        if (!connect_begin(address)) ocm_session_broken(&session, now); /* the text form cannot name another port: from another one */
        return;
    }
    a = addr_of(&local);
    inet_ntop(local.ss_family, local.ss_family == AF_INET ? a.ip + 12 : a.ip, ip, sizeof ip);
    request = ocm_session_request(&session, ocm_text(ip), a.port, now);
    connected = 1;
    if (socket_send(tcp, request.ptr, request.len) == (int)request.len) return;
    close_tcp();
    ocm_session_broken(&session, now);
}

static void connect_end(const options *o, uint64_t now)
{
    int error = 0;
    socklen len = sizeof error;
    getsockopt(tcp, SOL_SOCKET, SO_ERROR, (char *)&error, &len);
    if (error == 0) send_request(o, now);
    else if (!connect_begin(address->ai_next)) ocm_session_broken(&session, now);
}

static void read_answer(uint64_t now)
{
    int n = socket_receive(tcp, answer + answer_len, sizeof answer - answer_len);
    if (n < 0 && socket_full(socket_error())) return;
    if (n <= 0) {
        close_tcp();
        ocm_session_broken(&session, now);
        return;
    }
    answer_len += (size_t)n;
    while ((n = ocm_session_answer(&session, answer, answer_len, now)) > 0) {
        answer_len -= (size_t)n;
        memmove(answer, answer + n, answer_len);
    }
    if (n < 0) close_tcp();
}

static void send_datagram(ocm_view v)
{
    struct sockaddr_storage to;
    memset(&to, 0, sizeof to);
    memcpy(&to, address->ai_addr, address->ai_addrlen);
    set_port(&to, (unsigned)atoi(home->udp));
    socket_send_to(udp, v, (struct sockaddr *)&to, (socklen)address->ai_addrlen); /* what is lost is repeated */
}

static void read_datagram(uint64_t now)
{
    static uint8_t buf[65536];
    struct sockaddr_storage ss, expected;
    socklen len = sizeof ss;
    ocm_addr from, wanted;
    int n = (int)recvfrom(udp, (char *)buf, sizeof buf, 0, (struct sockaddr *)&ss, &len);
    if (n < 0) return;
    memset(&expected, 0, sizeof expected);
    memcpy(&expected, address->ai_addr, address->ai_addrlen);
    from = addr_of(&ss);
    wanted = addr_of(&expected);
    if (ocm_same_host(&from, &wanted)) ocm_session_datagram(&session, buf, (size_t)n, now);
}

/* ---- Servers: which one has the room ---- */

/* 1 when the addresses of a server are known. */
static int look_up(place *p)
{
    struct addrinfo hints;
    if (p->addresses) return 1;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    if (getaddrinfo(p->host, p->tcp, &hints, &p->addresses) == 0 && p->addresses) return 1;
    p->addresses = NULL;
    return 0;
}

static size_t place_of(const char *room)
{
    ocm_view names[PLACES_MAX];
    size_t i;
    for (i = 0; i < place_count; i++) names[i] = ocm_text(places[i].name);
    return ocm_pick(names, place_count, ocm_text(room));
}

static void choose_home(const char *room)
{
    place *p = &places[place_of(room)];
    if (!look_up(p)) die(1, NO_HOST, p->host);
    home = p;
}

/* ---- Lists ---- */

/* Every address of a server is asked at once: one that keeps silent then takes no time from the others. */
static void query_begin(const place *p)
{
    const struct addrinfo *to;
    int n = 0;
    for (to = p->addresses; to && n < ADDRESSES_MAX; to = to->ai_next, n++) {
        query *q = &queries[query_count++];
        q->of = p;
        q->sent = q->complete = 0;
        q->len = 0;
        q->socket = connect_to(to);
    }
}

static void query_end(query *q)
{
    if (q->socket != INVALID_SOCKET) socket_close(q->socket);
    q->socket = INVALID_SOCKET;
}

/* The socket is ready: the request goes out, or some of the answer comes. */
static void query_turn(query *q, ocm_view request)
{
    int n;
    if (!q->sent) {
        q->sent = socket_send(q->socket, request.ptr, request.len) == (int)request.len;
        if (!q->sent) query_end(q);
        return;
    }
    n = socket_receive(q->socket, q->buf + q->len, sizeof q->buf - q->len);
    if (n < 0 && socket_full(socket_error())) return;
    if (n > 0) {
        q->len += (size_t)n;
        n = ocm_frame_decode(q->buf, q->len, OCM_LIST_MAX, &q->frame);
        if (n == 0) return;
    }
    query_end(q);
    q->complete = n > 0 && q->frame.op == OCM_LIST && q->frame.state == OCM_STATE_DONE;
}

/* The answer of a server, or NULL. */
static const query *query_answered(const place *p)
{
    size_t i;
    for (i = 0; i < query_count; i++)
        if (queries[i].of == p && queries[i].complete) return &queries[i];
    return NULL;
}

/* One turn of waiting for all that are open. 0 when none is open any more. */
static int query_all(ocm_view request, uint64_t until)
{
    fd_set readable, writable;
    query *q;
    int top = -1;
    FD_ZERO(&readable);
    FD_ZERO(&writable);
    for (q = queries; q < queries + query_count; q++) {
        if (query_answered(q->of) || clock_ms() >= until) query_end(q);
        if (q->socket == INVALID_SOCKET) continue;
        FD_SET(q->socket, q->sent ? &readable : &writable);
        if ((int)q->socket > top) top = (int)q->socket;
    }
    if (top < 0) return 0;
    select_until(top, &readable, &writable, until);
    for (q = queries; q < queries + query_count; q++)
        if (q->socket != INVALID_SOCKET && FD_ISSET(q->socket, q->sent ? &readable : &writable)) query_turn(q, request);
    return 1;
}

/* Asks servers for their rooms, or for a room's members, all of them at the same time. */
static void query_places(place *from, size_t count, const char *room)
{
    static uint8_t request[OCM_FRAME_MAX];
    uint64_t until;
    ocm_request q;
    ocm_view bytes;
    size_t i;
    memset(&q, 0, sizeof q);
    q.op = OCM_LIST;
    q.room = ocm_text(room);
    bytes.ptr = request;
    bytes.len = (size_t)ocm_request_encode(request, sizeof request, &q);
    query_count = 0;
    for (i = 0; i < count; i++)
        if (look_up(&from[i])) query_begin(&from[i]);
    until = clock_ms() + LIST_MS;
    while (query_all(bytes, until)) {
    }
}

/* One line of a list. 0 when it is none. */
static int print_listed(ocm_view text, int *more)
{
    static uint8_t scratch[OCM_LIST_MAX];
    ocm_listed l;
    if (ocm_listed_decode(text, scratch, &l) < 0) return 0;
    if (l.more) {
        *more = 1;
    } else if (l.room.len) {
        put_safe(stdout, l.room);
        printf(" (%llu %s%s)\n", (unsigned long long)l.size, l.size == 1 ? "member" : "members", l.password ? ", password" : "");
    } else if (l.username.len) {
        put_safe(stdout, l.username);
        printf("%s\n", l.host ? " (host)" : "");
    } else {
        return 0;
    }
    return 1;
}

/* Prints what a server has answered. How many rooms or members, or -1 after a sentence about why none. */
static int list_place(const place *p, const char *room, int *more)
{
    const query *q = query_answered(p);
    ocm_view rest;
    int count = 0;
    if (!p->addresses) warn(NO_HOST, p->host);
    else if (!q) warn("no list from a chat server at %s, TCP port %s; give its address with -s", p->host, p->tcp);
    if (!q) return -1;
    for (rest = q->frame.payload; rest.len > 0; count++) {
        const uint8_t *stop = (const uint8_t *)memchr(rest.ptr, '\n', rest.len);
        ocm_view text = rest;
        if (stop) text.len = (size_t)(stop - rest.ptr);
        rest.ptr += text.len + (stop != NULL);
        rest.len -= text.len + (stop != NULL);
        if (print_listed(text, more)) continue;
        if (*room) warn("room \"%s\" does not exist; create it with -c %s", room, room);
        else warn("the list from %s cannot be read; is that a chat server?", p->name);
        return -1;
    }
    return count;
}

/* Prints the rooms of all servers, or a room's members. 1, or 0 after a sentence about what is missing. */
static int list(const char *room)
{
    size_t i = *room ? place_of(room) : 0, end = *room ? i + 1 : place_count;
    int count = 0, answers = 0, good = 1, more = 0;
    query_places(places + i, end - i, room);
    for (; i < end; i++) {
        int n = list_place(&places[i], room, &more);
        if (n < 0) good = 0;
        else count += n, answers++;
    }
    if (more) printf("... and more\n");
    if (answers && count == 0) printf(*room ? "room \"%s\" has a password and names nobody\n" : "no rooms%s\n", room);
    return good;
}

/* ---- Input ---- */

static void command(const options *o, const char *word)
{
    if (strcmp(word, "/leave") == 0 || strcmp(word, "/quit") == 0) ocm_session_leave(&session);
    else if (strcmp(word, "/who") == 0) list(o->room);
    else if (strcmp(word, "/rooms") == 0) list("");
    else if (strcmp(word, "/help") == 0) printf("/who members of this room   /rooms all rooms   /leave leave   //text says /text\n");
    else printf("%s is no command; /help lists them, and //text says /text\n", word);
}

static void refuse_line(int why)
{
    if (why == OCM_E_LARGE)
        warn("the message is too long: %lu bytes, at most %lu are possible", (unsigned long)(line.len + line.lost),
             (unsigned long)ocm_session_text_max(&session));
    else
        warn("the message is not text: it has control characters or is not UTF-8");
}

static void line_done(const options *o)
{
    size_t skip = interactive && line.len > 1 && line.text[0] == '/' && line.text[1] == '/';
    int result = 1;
    ocm_view text;
    text.ptr = (const uint8_t *)line.text + skip;
    text.len = line.len - skip;
    line.text[line.len] = 0;
    if (interactive && line.text[0] == '/' && !skip) {
        editor_wipe();
        command(o, line.text);
    } else if (line.len) {
        result = line.lost ? OCM_E_LARGE : ocm_session_say(&session, text);
        if (result < 0) refuse_line(result);
    }
    if (result > 0 && interactive && line.len) history_add(line.text);
    /* What was refused is to be mended and tried again, but of a paste the next line is coming already. */
    if (result > 0 || !interactive || line.pasting) editor_clear(&line);
    editor_restore();
}

/* Takes lines from the input as fast as the session takes messages. */
static void take_lines(const options *o)
{
    while (ocm_session_ready(&session) && input_at < input_len) {
        int key = editor_take(&line);
        if (key == KEY_LINE) line_done(o);
        if (key == KEY_END) ocm_session_leave(&session);
    }
    if (!input_ended || input_at < input_len || !ocm_session_ready(&session)) return;
    if (line.len) line_done(o);
    ocm_session_leave(&session);
}

/* ---- Loop ---- */

static void wait_for_events(fd_set *readable, fd_set *writable)
{
    uint64_t turn = clock_ms() + INPUT_TURN_MS, until = ocm_session_deadline(&session);
    int top = 0;
    FD_ZERO(readable);
    FD_ZERO(writable);
    if (tcp != INVALID_SOCKET) {
        FD_SET(tcp, connected ? readable : writable);
        top = (int)tcp;
    }
    if (udp != INVALID_SOCKET) {
        FD_SET(udp, readable);
        if ((int)udp > top) top = (int)udp;
    }
    if (ocm_session_ready(&session) && !input_ended && input_at == input_len && input_watch(readable) > top) top = 0;
    select_until(top, readable, writable, until < turn ? until : turn);
}

/* Carries out what the session wants. The exit status, or -1 to go on. */
static int act(const options *o)
{
    ocm_action a;
    while (ocm_session_next(&session, clock_ms(), &a)) {
        if (a.what == OCM_DO_SEND) {
            send_datagram(a.text);
        } else if (a.what == OCM_DO_SHOW) {
            if (a.kind == OCM_SHOW_IN) close_tcp();
            show(o, &a);
        } else if (a.what == OCM_DO_CONNECT) {
            if (!connect_begin(home->addresses)) ocm_session_broken(&session, clock_ms());
        } else if (a.kind == OCM_END_REFUSED && a.status == 401 && interactive) {
            return 401;
        } else {
            return farewell(o, &a);
        }
    }
    return -1;
}

static int chat(const options *o)
{
    fd_set readable, writable;
    int status, interrupts = 0;
    while ((status = act(o)) < 0) {
        uint64_t now;
        if (interactive && !line.prompt && ocm_session_ready(&session)) line.prompt = "> ", editor_draw(&line);
        wait_for_events(&readable, &writable);
        editor_follow();
        now = clock_ms();
        if (tcp != INVALID_SOCKET && FD_ISSET(tcp, &writable)) connect_end(o, now);
        else if (tcp != INVALID_SOCKET && FD_ISSET(tcp, &readable)) read_answer(now);
        if (udp != INVALID_SOCKET && FD_ISSET(udp, &readable)) read_datagram(now);
        if (ocm_session_ready(&session)) input_fill(&readable);
        take_lines(o);
        if (interrupted > interrupts + 1) return 130;
        if (interrupted > interrupts) interrupts = interrupted, ocm_session_leave(&session);
    }
    return status;
}

/* ---- Main ---- */

static const char usage[] =
    "usage: client [-s HOST[/TCP:UDP]]... [-n NAME] [-c ROOM | -j ROOM | ROOM | -l [ROOM]] [-p] [-t] [-h] [-V]\n"
    "  -s  the server (default 127.0.0.1/8000:9000); given several times, the room's name tells which of them has the room,\n"
    "      the same for all who name the same servers, in any order\n"
    "  -n  your name\n"
    "  -c  create a room                -j  join a room             ROOM alone: join it, or create it\n"
    "  -l  list the rooms, or the members of one, and end\n"
    "  -p  ask for the room's password, or take it from OCM_PASSWORD in the environment\n"
    "  -t  speak the plain text form, which other servers may want\n"
    "  -h  this text                    -V  the version\n";

static int is_port(const char *s)
{
    size_t len = strlen(s);
    return len <= 5 && strspn(s, "0123456789") == len && atoi(s) >= 1 && atoi(s) <= 65535;
}

/* HOST[/TCP:UDP]. The same server once more is passed over. */
static void add_place(char *arg)
{
    char *slash = strrchr(arg, '/'), *colon = slash ? strchr(slash, ':') : NULL, *c;
    place p = {arg, "8000", "9000", "", NULL};
    size_t i;
    if (slash) {
        if (!colon || slash == arg) die(2, "-s %s: write HOST or HOST/TCP:UDP, for example -s 127.0.0.1/8000:9000", arg);
        *slash = *colon = 0;
        p.tcp = slash + 1;
        p.udp = colon + 1;
    }
    if (!is_port(p.tcp) || !is_port(p.udp)) die(2, "-s %s/%s:%s: a port is a number from 1 to 65535", p.host, p.tcp, p.udp);
    if (strlen(p.host) > 255) die(2, "-s %s: a host name has at most 255 bytes", p.host);
    sprintf(p.name, "%s/%d:%d", p.host, atoi(p.tcp), atoi(p.udp));
    for (c = p.name; *c; c++)
        if (*c >= 'A' && *c <= 'Z') *c = (char)(*c + 'a' - 'A');
    for (i = 0; i < place_count; i++)
        if (strcmp(places[i].name, p.name) == 0) return;
    if (place_count == PLACES_MAX) die(2, "-s %s: at most %d servers; leave one out", p.name, PLACES_MAX);
    places[place_count++] = p;
}

static void set_room(options *o, const char *room, int want)
{
    if (o->room) die(2, "one room at a time: \"%s\" or \"%s\"", o->room, room);
    o->room = room;
    o->want = want;
}

static options read_options(int argc, char **argv)
{
    static char usual[] = "127.0.0.1";
    options o = {NULL, NULL, OCM_EITHER, OCM_FORM_JSON, 0, 0};
    int i;
    for (i = 1; i < argc; i++) {
        int option = argv[i][0] == '-' && argv[i][1] && !argv[i][2] ? argv[i][1] : 0;
        if (option == 'h') exit(fputs(usage, stdout) < 0);
        if (option == 'V') exit(printf("client %s\n", OCM_VERSION) < 0);
        if (option == 'l') o.list = 1;
        else if (option == 'p') o.ask_password = 1;
        else if (option == 't') o.form = OCM_FORM_TEXT;
        else if (argv[i][0] != '-') set_room(&o, argv[i], OCM_EITHER);
        else if (!option || !strchr("sncj", option)) die(2, "unknown option \"%s\"; see client -h", argv[i]);
        else if (i + 1 == argc) die(2, "-%c wants a value; see client -h", option);
        else if (option == 's') add_place(argv[++i]);
        else if (option == 'n') o.name = argv[++i];
        else set_room(&o, argv[++i], option == 'c' ? OCM_CREATE : OCM_JOIN);
    }
    if (place_count == 0) add_place(usual);
    return o;
}

/* What the command line does not say is asked for; on a pipe there is nobody to ask. */
static void ask_missing(options *o)
{
    if (!interactive && !o->name) die(2, "no name; give one with -n NAME");
    if (!interactive && !o->room) die(2, "no room; give one: client -n %s ROOM", o->name);
    while (!o->name || !ocm_name_valid(ocm_text(o->name))) {
        if (o->name && !interactive) die(2, "\"%s\" cannot be a name: " NAME_RULE, o->name);
        if (o->name) printf("\"%s\" cannot be a name: " NAME_RULE ".\n", o->name);
        o->name = keep(ask("your name: ", 0));
    }
    if (!o->room) list("");
    while (!o->room || !ocm_room_valid(ocm_text(o->room))) {
        if (o->room && !interactive) die(2, "\"%s\" cannot be a room: " ROOM_RULE, o->room);
        if (o->room) printf("\"%s\" cannot be a room: " ROOM_RULE ".\n", o->room);
        o->room = keep(ask("room to join or create: ", 0));
    }
}

static const char *password_of(const options *o, int again)
{
    const char *env = getenv("OCM_PASSWORD");
    if (!o->ask_password && !again) return "";
    if (env && !again) return env;
    if (!interactive) die(2, "-p on a pipe takes the password from OCM_PASSWORD in the environment, and it is not set");
    return keep(ask("password: ", 1));
}

/* Chats until it is over: the exit status. Who can be asked has another try at the password. */
static int stay(const options *o)
{
    int status = 0;
    for (;;) {
        const char *password = password_of(o, status == 401);
        if (ocm_session_open(&session, o->want, o->form, ocm_text(o->room), ocm_text(o->name), ocm_text(password)) < 0)
            die(2, "the password is too long or not UTF-8: at most %d bytes", OCM_NAME_MAX);
        status = chat(o);
        if (status != 401) return status;
        editor_wipe();
        line.prompt = NULL;
        printf(*password ? "Wrong password for room \"%s\".\n" : "Room \"%s\" has a password.\n", o->room);
    }
}

int main(int argc, char **argv)
{
    options o = read_options(argc, argv);
    int status;
    if (!platform_start()) die(1, "the system gives no sockets");
    if (o.list && o.want != OCM_EITHER) die(2, "-l only lists; leave out -c and -j");
    if (o.list && o.room && !ocm_room_valid(ocm_text(o.room))) die(2, "\"%s\" cannot be a room: " ROOM_RULE, o.room);
    interactive = is_terminal(stdin) && is_terminal(stdout) && !o.list;
    colour = interactive && !getenv("NO_COLOR");
    if (o.list) {
        status = !list(o.room ? o.room : "");
    } else {
        signal(SIGINT, on_signal);
        signal(SIGTERM, on_signal);
        if (place_count == 1) choose_home(""); /* a wrong host is told before anything is asked */
        if (interactive) terminal_raw();
        ask_missing(&o);
        choose_home(o.room);
        status = stay(&o);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) die(1, "the output cannot be written; was it closed?");
    return status;
}
