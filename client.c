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

static size_t input_keys(HANDLE in, uint8_t *p)
{
    static WCHAR high;
    INPUT_RECORD key;
    WCHAR wide[2];
    DWORD n;
    int len = 0;
    if (!ReadConsoleInputW(in, &key, 1, &n) || key.EventType != KEY_EVENT || !key.Event.KeyEvent.bKeyDown) return 0;
    wide[0] = key.Event.KeyEvent.uChar.UnicodeChar;
    if (wide[0] == 0) return 0;
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

static void terminal_cooked(void) { tcsetattr(STDIN_FILENO, TCSADRAIN, &cooked); }

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
#define LINE_MAX_LEN 8192 /* bytes of a line of input that are kept: more than any message may have */

#define NAME_RULE "1 to 255 bytes, no control characters, no colon and space, not \"system\""
#define ROOM_RULE "1 to 255 bytes, no control characters"

typedef struct options {
    const char *name, *room;
    int want, form, list, ask_password;
} options;

typedef struct place { /* a server, as -s tells it */
    const char *host, *tcp, *udp;
    char name[300];             /* HOST/TCP:UDP in one way of writing: ocm_pick() hashes it */
    struct addrinfo *addresses; /* NULL: not looked up yet */
} place;

typedef struct editor { /* the line being typed; on a pipe, the line being read */
    char text[LINE_MAX_LEN];
    size_t len, lost;   /* lost: bytes that did not fit */
    const char *prompt; /* NULL: nothing is shown */
    int hidden, escape; /* hidden: a password; escape: inside a key's escape sequence */
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
static editor line;
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

/* Shows the prompt and as much of the end of the line as fits beside it: one row, so that it can be wiped. */
static void editor_draw(const editor *e)
{
    int width = terminal_columns() - 1 - (int)strlen(e->prompt);
    size_t from = e->hidden ? 0 : e->len;
    while (from > 0) {
        size_t at = from - 1;
        uint32_t c = '?';
        while (at > 0 && ((uint8_t)e->text[at] & 0xC0) == 0x80) at--;
        if (ocm_utf8_decode((const uint8_t *)e->text + at, from - at, &c) != (int)(from - at)) at = from - 1, c = '?';
        width -= columns_of(c);
        if (width < 0) break;
        from = at;
    }
    printf("\r\033[K%s", e->prompt);
    if (!e->hidden) put_typed(e->text + from, e->len - from);
    fflush(stdout);
}

/* Flushes: what comes next may go to stderr. */
static void editor_wipe(void)
{
    if (!interactive || !line.prompt) return;
    fputs("\r\033[K", stdout);
    fflush(stdout);
}

static void editor_restore(void)
{
    if (interactive && line.prompt) editor_draw(&line);
    fflush(stdout);
}

static void editor_backspace(editor *e)
{
    while (e->len > 0 && ((uint8_t)e->text[--e->len] & 0xC0) == 0x80) {
    }
}

enum { KEY_NONE, KEY_LINE, KEY_END };

/* One byte from the keyboard. Escape sequences (arrows and the like) are passed over. */
static int editor_key(editor *e, uint8_t c)
{
    if (e->escape) {
        e->escape = e->escape == 1 ? (c == '[' || c == 'O' ? 2 : 0) : !(c >= '@' && c <= '~') * 2;
        return KEY_NONE;
    }
    if (c == '\r' || c == '\n') return KEY_LINE;
    if (c == 3 || (c == 4 && e->len == 0)) return KEY_END;
    if (c == 27) e->escape = 1;
    else if (c == 127 || c == 8) editor_backspace(e);
    else if (c == 21) e->len = 0;
    else if (c == 23) {
        while (e->len > 0 && e->text[e->len - 1] == ' ') e->len--;
        while (e->len > 0 && e->text[e->len - 1] != ' ') e->len--;
    } else if ((c >= 32 || c == '\t') && e->len < sizeof e->text) e->text[e->len++] = (char)c;
    return KEY_NONE;
}

/* Takes bytes from the input until a line is whole. */
static int editor_take(editor *e)
{
    int key = KEY_NONE;
    while (key == KEY_NONE && input_at < input_len) {
        uint8_t c = input[input_at++];
        if (interactive) key = editor_key(e, c);
        else if (c == '\n') key = KEY_LINE;
        else if (e->len < sizeof e->text) e->text[e->len++] = (char)c;
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
    line.len = 0;
    editor_draw(&line);
    while (key == KEY_NONE && !interrupted) {
        fd_set set;
        if (input_at == input_len) input_wait(&set);
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
    line.len = 0;
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

/* 1 when the addresses of a server are known, 0 after a sentence. */
static int look_up(place *p)
{
    struct addrinfo hints;
    if (p->addresses) return 1;
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    if (getaddrinfo(p->host, p->tcp, &hints, &p->addresses) == 0 && p->addresses) return 1;
    p->addresses = NULL;
    warn("there is no host \"%s\"; give the server's with -s", p->host);
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
    if (!look_up(p)) exit(1);
    home = p;
}

/* ---- Lists ---- */

static int wait_for(socket_t s, int writing, uint64_t until)
{
    uint64_t now = clock_ms(), ms = until > now ? until - now : 0;
    struct timeval t;
    fd_set set;
    t.tv_sec = (long)(ms / 1000);
    t.tv_usec = (long)(ms % 1000) * 1000;
    FD_ZERO(&set);
    FD_SET(s, &set);
    return select((int)s + 1, writing ? NULL : &set, writing ? &set : NULL, NULL, &t) > 0;
}

/* Connects to an address, sends the request, reads one frame. 1, or 0: no list here. */
static int fetch_list(const struct addrinfo *from, ocm_view request, uint8_t *buf, size_t cap, ocm_frame *f)
{
    uint64_t until = clock_ms() + LIST_MS;
    socket_t s = connect_to(from);
    size_t len = 0;
    int n = 0;
    if (s == INVALID_SOCKET) return 0;
    if (wait_for(s, 1, until) && socket_send(s, request.ptr, request.len) == (int)request.len) {
        while (n == 0 && len < cap && wait_for(s, 0, until)) {
            int got = socket_receive(s, buf + len, cap - len);
            if (got <= 0) break;
            len += (size_t)got;
            n = ocm_frame_decode(buf, len, OCM_LIST_MAX, f);
        }
    }
    socket_close(s);
    return n > 0 && f->op == OCM_LIST && f->state == OCM_STATE_DONE;
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

/* Asks one server for its rooms, or for a room's members, and prints them. How many, or -1 after a sentence about why not. */
static int list_place(place *p, const char *room, int *more)
{
    static uint8_t request[OCM_FRAME_MAX], buf[OCM_ANSWER_MAX + OCM_NAME_MAX];
    const struct addrinfo *from;
    ocm_request q;
    ocm_frame f;
    ocm_view rest, bytes;
    int count = 0;
    if (!look_up(p)) return -1;
    memset(&q, 0, sizeof q);
    memset(&f, 0, sizeof f);
    q.op = OCM_LIST;
    q.room = ocm_text(room);
    bytes.ptr = request;
    bytes.len = (size_t)ocm_request_encode(request, sizeof request, &q);
    for (from = p->addresses; from && !fetch_list(from, bytes, buf, sizeof buf, &f);) from = from->ai_next;
    if (!from) {
        warn("no list from a chat server at %s, TCP port %s; give its address with -s", p->host, p->tcp);
        return -1;
    }
    for (rest = f.payload; rest.len > 0; count++) {
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
    if (interactive && line.len && line.text[0] == '/' && !skip && line.len < sizeof line.text) {
        line.text[line.len] = 0;
        editor_wipe();
        command(o, line.text);
    } else if (line.len) {
        result = line.lost ? OCM_E_LARGE : ocm_session_say(&session, text);
        if (result < 0) refuse_line(result);
    }
    if (result > 0 || !interactive) line.len = line.lost = 0; /* else to be mended and tried again */
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
    uint64_t now = clock_ms(), until = ocm_session_deadline(&session), ms = until > now ? until - now : 0;
    struct timeval t;
    int top = 0;
    if (ms > INPUT_TURN_MS) ms = INPUT_TURN_MS;
    t.tv_sec = (long)(ms / 1000);
    t.tv_usec = (long)(ms % 1000) * 1000;
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
    if (select(top + 1, readable, writable, NULL, &t) > 0) return;
    FD_ZERO(readable);
    FD_ZERO(writable);
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

static const char *keep(const char *s)
{
    char *copy = (char *)malloc(strlen(s) + 1);
    if (!copy) die(1, "no memory");
    return strcpy(copy, s);
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
