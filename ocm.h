/* ocm.h - v2.0 - chat rooms over TCP and UDP: the protocol, a server's registry, a client's session
No I/O, no clock, no allocation, no globals: it compiles anywhere and is tested without a network.
Public domain (Unlicense) or MIT, at your choice; both texts stand at the end of this file.

Put this into exactly one C or C++ file, and include the header plainly in the others:

    #define OCM_IMPLEMENTATION
    #include "ocm.h"

WHY. A chat server is mostly waiting, and the little that it decides (who may speak, what everybody
has seen, what to do when a datagram is lost) is hard to test behind sockets. So all of that is
here, as functions from bytes to bytes, and server.c and client.c around it only carry them.

CONTENTS
    1  Numbers and types    results, views, addresses
    2  Text                 UTF-8, names, messages
    3  JSON                 a strict reader and a writer (private)
    4  Wire                 frames, datagrams, messages, requests
    5  Registry             a server's rooms, members and log; delivery
    6  Connection           the server's side of one TCP connection
    7  Session              a client's membership of one room
The public half declares them in this order; the implementation has them in the same order.

QUICK EXAMPLE: two clients and a server in one program, which carries the bytes between them.

    #define OCM_IMPLEMENTATION
    #include "ocm.h"
    #include <stdio.h>
    #include <stdlib.h>

    int main(void)
    {
        static ocm_session client[2];
        static ocm_conn conn[2];
        ocm_addr at[2] = {{{0}, {0}, 0, 4000, 0}, {{0}, {0}, 0, 4001, 1}}; // ports, sockets
        uint8_t seed[32] = {0};                                  // a real program: random bytes
        ocm_registry *server = ocm_registry_init(malloc(ocm_registry_size(NULL)), NULL, seed);
        ocm_view room = ocm_text("lobby"), none = ocm_text("");
        ocm_session_open(&client[0], OCM_CREATE, room, ocm_text("alice"), none);
        ocm_session_open(&client[1], OCM_JOIN, room, ocm_text("bob"), none);
        ocm_session_say(&client[0], ocm_text("hello"));
        ocm_session_say(&client[1], ocm_text("hello, alice"));
        for (unsigned now = 0, i = 0; now < 1000; i = ++now % 2) { // one client, then the other
            ocm_io io;
            for (ocm_action a; ocm_session_next(&client[i], now, &a);) {
                ocm_view t = a.text;
                if (a.kind == OCM_DO_CONNECT) ocm_conn_open(&conn[i], &at[i], now);
                if (a.kind == OCM_DO_CONNECT)
                    ocm_session_connected(&client[i], ocm_text("::"), at[i].port, now);
                if (a.kind == OCM_DO_REQUEST) ocm_conn_received(&conn[i], t.ptr, t.len, now);
                if (a.kind == OCM_DO_SEND) ocm_registry_datagram(server, t.ptr, t.len, &at[i], now);
                if (a.kind == OCM_SHOW_MESSAGE)
                    printf("client %u sees %.*s: %.*s\n", i, OCM_S(a.name), OCM_S(t));
            }
            ocm_conn_next(&conn[i], server, now, &io);
            if (io.send.len) ocm_session_received(&client[i], io.send.ptr, io.send.len, now);
            ocm_conn_sent(&conn[i], io.send.len);
            for (ocm_event ev; ocm_registry_next(server, now, &ev);)
                ocm_session_datagram(&client[ev.to.socket], ev.datagram.ptr, ev.datagram.len, now);
        }
    }

TWO RULES
    Feed, then drain. After an input, call ocm_registry_next or ocm_session_next until it returns 0;
    its `until` then says when to call it again if nothing else happens. ocm_conn_next is called
    once after each input, and when something was sent; after it, and after ocm_conn_close, drain
    the registry, too. Give each input exactly once; other inputs may come between any two calls.
    Drain at least once for every 64 messages: while 64 entries of a room are not handed out, its
    next message is refused as if it were over the rate.
    Views are borrowed. Nothing here keeps a pointer into what you pass. What you are given belongs
    to the object that gave it and stays as it is until the next call for that object.
Time is in milliseconds, of any clock that never runs backwards. Mistakes of the calling program are
caught by OCM_ASSERT; bytes from the network are always checked. The program must drop datagrams
that come from its own sockets: a member may declare such a port, and the server would answer
itself. A registry takes no commands: a program that wants to speak in a room, or to close it, is a
member of it by an ocm_conn of its own (from ::1, with a `socket` that no other member has), as the
host if it creates the room.

THE PROTOCOL. Integers of several bytes are big-endian, all text is UTF-8.

TCP: a client asks for a room with frames of this form, and is answered with such frames (TCRP):

    0         1         2         3                                     32
    +---------+---------+---------+-------------------------------------+---------------+---------+
    | roomlen | op      | state   | payload length, 29 bytes, big-endian| room, roomlen | payload |
    +---------+---------+---------+-------------------------------------+---------------+---------+
    op      1 create a room (the requester becomes its host), 2 join a room,
            3 list: an empty room name lists all rooms, a room name that room's members
    state   0 request, 1 acknowledged: the request has arrived, 2 complete: the outcome

The payload and the state of a request decide its dialect. The answers are in that dialect, and so
is the chat. Two programs that others wrote speak the protocol, too: "team A" is the one of
github.com/teamdev-A-backend/online-chat-messenger, and "team D" the one of
github.com/recursion-backend-team-d/online-chat-messenger, which speaks JSON.

    dialect  recognized by                     state-1 payload     state-2 payload
    JSON     it begins with {, state not 1     {"status":202,...}  {"status":201,...,"token":"..."}
    text     anything else, state 0            the outcome's byte  the token, or "error: " and why
    team A   anything else                     the byte 200        {"status_code":200,
                                                                    "user_token":"..."}

    outcome                                     JSON status   text byte   team A status_code
    created                                     201           0           200
    joined, listed                              200           0           200
    malformed, bad name, unknown op or state    400           4           400
    wrong password                              401           3           400
    no such room                                404           2           404
    room exists already                         409           1           400
    user name taken in that room                409           6           400
    payload of more than 4096 bytes             413           4           400
    the server is full                          503           5           400

A JSON request is an object. username (not in a list request) and password (of at most 255 bytes)
are strings; port is where the client receives datagrams (1024 to 65535; without it, the port of the
TCP connection counts). ip is required by one other server and ignored here: believing it would let
anyone aim the server at a third party. ocm and token belong to level 1, below. A text or team A
request is the bare user name. In these two dialects 100 ms lie between the frames of an answer, and
the state-2 frame of a success carries the room name. Requests are answered in order; once one has
made a member, the connection answers nothing more.
A list is one state-2 frame with an object on each line: {"room":"lobby","size":2,
"password_required":false}, or {"username":"alice","host":true}; the members of a room with a
password are named only to a request with that password. A list that is cut ends with {"more":true}.
For a minute after a wrong password, one request a second for that room from that origin (an IPv4
address, the first 64 bits of an IPv6 address, or loopback) is examined, and the others wait.

UDP: members speak, and are spoken to. In both directions the token is the member's:

    0         1          2
    +---------+----------+---------------+-----------------+-------------+
    | roomlen | tokenlen | room, roomlen | token, tokenlen | message ... |
    +---------+----------+---------------+-----------------+-------------+

    dialect  member to server                    server to member
    JSON     {"sender":"alice","message":"hi"}   {"sender":"alice","message":"hi","seq":17}
    text     hi                                  alice: hi     (bare, without the header)
    team A   hi                                  alice: hi

A datagram counts if its room and token are a member's, and it comes from that member's IP address:
the one from which it joined, or last came back. Anything else is dropped without an answer. An
empty message keeps a silent member alive. {"sender":"system","operation":2} or, in the other two
dialects, [remove_chatroom] is leaving.
Messages of the server itself have the sender "system", and in JSON an operation and a username:

    1 joined   2 left   3 you are out; "reason": left, host, timeout, unreachable or stopping
    4 your message was rejected, and why; at most once a second   6 the log, see level 1 (no 5)

LEVEL 1 loses no entry that the log still holds; all rooms share its memory. A JSON request with
"ocm":1 asks for it; the success answer then adds "ocm":1,"idle":300,"seq":17,"log":4711.

A room is a log, and a member is a cursor into it. The room's messages and its operations 1 and 2
are its entries, numbered by seq from 1 without holes. In the answer, `log` tells this log from
every other one; `seq` is the number of the member's own joining (for a member that kept its place:
of the newest entry); `idle` is the silence, in seconds, that ends a membership. For each member the
server keeps three numbers: the last entry that it sent, the last entry that the member confirmed,
and the last message id that it took. After a loss, a reordering, a change of address or a
restart, and for a newcomer, one side says where it stands, and the other goes on from there.

    {"message":"hi","id":1}                                         say it: ids begin with 1
    {"sender":"alice","message":"hi","seq":17,"id":1}               an entry; alice gets it, too
    {"sender":"system","operation":6,"seq":17}                      position: I have up to 17
    {"sender":"system","operation":6,"seq":20,"first":4,"id":1}     status: newest, oldest, taken

    Lines     A datagram holds one or more objects, each followed by a newline; several share one if
              it all fits 1200 bytes. Empty lines mean nothing.
    Position  moves the cursor there, forward or back, unless a higher one was given before. It is
              answered by a status. If more than 64 entries or 64 KiB follow, the server sends that
              many and waits for the next position. Each batch after the first costs as much as
              a datagram.
    Status    answers a position, an empty datagram, a message that was taken before, and one that
              was rejected with its id. If nothing was added to a room for 3 s, each member whose
              last position is not the newest entry gets one, up to ten times: so a lost last entry
              is found.
    Ids       A member numbers its messages without holes for as long as its token lives. The server
              takes the next one, answers a repeated one, and drops a higher one.
    Rate      A datagram costs one, and each message in it after the first another one. What is over
              the rate is dropped without a word and not taken: its sender repeats it. All members
              of one address, but loopback, have eight times a member's rate together.
    Joining   A member that sends no datagram within 10 s of its answer is out: the answer was lost.
              A session reports seq - 20 first, and so reads the last of the room's past.
    Closing   A room that closes takes its log with it. So what a member has not confirmed of the
              end of it comes (again) before the reason, as far as it fits.

A session keeps one datagram of messages in flight, and one timer. While it knows of an entry that
it does not have, or has said something that it has not read, it sends its position and the messages
that were not taken: after 300 ms (or two round trips, if that is longer), then 600 ms, up to 3 s;
for a new gap already after 50 ms, and once more after one round trip. Its own entry, read in the
log, is the receipt; a message that was taken, and is not in the log, was rejected. After 2 s
without anything new it tells its position, and then every 25 s (a third of `idle`, if that is
less).

Coming back: a session that hears no datagram for 10 s after it sent one asks by TCP to join again,
with its token, after 0, 1, 2, 4 ... 30 s. If the answer has the same token, it keeps its place,
even from another address (then the request must have the room's password). With a new token on the
same log it reads on from where it was, and says nothing until it has read as far as its own
joining, as its messages may already be in that part of the log. On another log it begins at the
beginning. If a datagram for the old token arrives before the answer, the session stops asking and
goes on with that. After a restart of the server only the session that created the room creates it
again; the others ask for a minute. What was said just before a restart may be lost with the old
log, or be said again in the new one. Within one log each message stands once, unless its sender
comes back with a new token after the log has given up the entry: then it is said again.

OPTIONS, to be defined before inclusion
    OCM_IMPLEMENTATION   compile the implementation here
    OCM_STATIC           make every function static, to have a private copy in one file
    OCM_API              your own words before each function, to export it from a library
    OCM_ASSERT(x)        your own assert
    OCM_OUTBOX, OCM_REORDER   smaller sessions, see there

HOW A MESSAGE TRAVELS through a server:
    recvfrom, ocm_registry_datagram, ocmi_token_find, ocmi_hear, ocm_message_decode, ocmi_say,
    ocmi_log_add; and for each member: ocm_registry_next, ocmi_pending_next, ocmi_send,
    ocmi_put_entry, sendto.               */

#ifndef OCM_H
#define OCM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(OCM_STATIC) && !defined(OCM_IMPLEMENTATION)
#error "a file that defines OCM_STATIC has a copy of its own: define OCM_IMPLEMENTATION there, too"
#endif
#ifdef OCM_API
#elif defined(OCM_STATIC)
#if defined(__GNUC__)
#define OCM_API static __attribute__((unused))
#else
#define OCM_API static
#endif
#elif defined(__cplusplus)
#define OCM_API extern "C"
#else
#define OCM_API extern
#endif

/* ==== 1. Numbers and types ================================================================== */

#define OCM_VERSION "2.0"

#define OCM_HEADER_LEN 32     /* bytes of a frame before the room name */
#define OCM_NAME_MAX 255      /* bytes of a room name, of a user name, and of a password */
#define OCM_TOKEN_LEN 32      /* bytes of a token that a registry issues */
#define OCM_TOKEN_MAX 255     /* bytes of a token that the format allows */
#define OCM_PAYLOAD_MAX 4096  /* bytes of a request's payload */
#define OCM_LIST_MAX 65536    /* bytes of a list's payload */
#define OCM_DATAGRAM_MAX 4096 /* bytes of a datagram */
#define OCM_BATCH_MAX 1200    /* bytes of a datagram that holds several objects */
#define OCM_TEXT_MAX 3990     /* bytes of room name, user name and text, the last two as JSON */
#define OCM_FRAME_MAX (OCM_HEADER_LEN + OCM_NAME_MAX + OCM_PAYLOAD_MAX)
#define OCM_ANSWER_MAX (OCM_HEADER_LEN + OCM_LIST_MAX)
#define OCM_INTEGER_MAX 9007199254740991u /* 2^53-1: any JSON reader can hold it (RFC 8259, 6) */

/* A session's memory: about 4 KiB for each message and each entry. No part of the protocol: a
   program may define them smaller before it includes this file, the same in all its files. */
#ifndef OCM_OUTBOX
#define OCM_OUTBOX 64 /* messages that a session accepts before they are read in the log */
#endif
#ifndef OCM_REORDER
#define OCM_REORDER 64 /* entries that a session keeps while it waits for an earlier one */
#endif
#if OCM_OUTBOX < 1 || OCM_REORDER < 1
#error "OCM_OUTBOX and OCM_REORDER are at least 1"
#endif

enum { OCM_CREATE = 1, OCM_JOIN = 2, OCM_LIST = 3 };                       /* op of a frame */
enum { OCM_STATE_REQUEST = 0, OCM_STATE_ACK = 1, OCM_STATE_COMPLETE = 2 }; /* state of a frame */
enum { OCM_DIALECT_JSON, OCM_DIALECT_TEXT, OCM_DIALECT_TEAM_A };
enum { OCM_OP_JOINED = 1, OCM_OP_LEFT = 2, OCM_OP_REMOVED = 3, OCM_OP_NOTICE = 4, OCM_OP_LOG = 6 };

/* Why a membership ended. */
enum {
    OCM_REASON_NONE,
    OCM_REASON_LEFT,        /* it left */
    OCM_REASON_HOST,        /* the host's membership ended, and the room with it */
    OCM_REASON_TIMEOUT,     /* it was silent too long */
    OCM_REASON_UNREACHABLE, /* sending to it failed, again and again */
    OCM_REASON_STOPPING     /* the server stops */
};

/* Results. A function that returns int returns a positive number when it did what its name says,
   0 when there is nothing to do or more input is needed, and one of these when it refuses. */
enum {
    OCM_E_BAD = -1,   /* malformed: no more bytes will make it right */
    OCM_E_LARGE = -2, /* longer than the limit */
    OCM_E_SPACE = -3, /* the output does not fit the memory given */
    OCM_E_FULL = -4   /* no space now; later there may be */
};

/* Borrowed bytes: whoever owns them must outlive the view. */
typedef struct ocm_view {
    const uint8_t *ptr;
    size_t len; /* bytes */
} ocm_view;

/* For printf("%.*s", OCM_S(view)). */
#define OCM_S(v) (int)(v).len, (v).len ? (const char *)(v).ptr : ""

/* The far end of a connection or of a datagram. IPv4 a.b.c.d is ::ffff:a.b.c.d (RFC 4291, 2.5.5.2).
   A program sets `local` and `socket` as it likes. The registry hands them back with each event: at
   first those given to ocm_conn_open, later those of the member's last datagram. */
typedef struct ocm_addr {
    uint8_t ip[16];
    uint8_t local[16]; /* the address of this machine at which it was heard; zeros: not known */
    uint32_t scope;    /* of a link-local address, else 0 */
    uint16_t port;     /* in the byte order of this machine */
    uint16_t socket;   /* which of the program's sockets */
} ocm_addr;

/* ==== 2. Text =============================================================================== */

/* A C string as a view. */
OCM_API ocm_view ocm_text(const char *s);
/* 1 if both are the same bytes. */
OCM_API int ocm_view_equal(ocm_view a, ocm_view b);
/* Bytes of the UTF-8 character at p (1 to 4; its value in *c), 0 if it is malformed or cut off
   (RFC 3629). */
OCM_API int ocm_utf8_decode(const uint8_t *p, size_t len, uint32_t *c);
/* 1 if v may be a room name: 1 to 255 bytes of UTF-8 without control characters, bidirectional
   controls (U+202A to 202E, U+2066 to 2069), or line and paragraph separators. */
OCM_API int ocm_room_valid(ocm_view v);
/* 1 if v may be a user name: like a room name, not "system", and without a colon before a space. */
OCM_API int ocm_name_valid(ocm_view v);
/* 1 if v may be a message: UTF-8 without control characters other than TAB; may be empty. */
OCM_API int ocm_message_valid(ocm_view v);
/* 1 if both are one host: the same IP address, or both loopback. Ports do not matter. */
OCM_API int ocm_same_host(const ocm_addr *a, const ocm_addr *b);

/* ==== 4. Wire =============================================================================== */

/* The codecs keep no state. Decoders read no byte beyond len, and what they decode points into
   their input, or, if it is JSON, into `scratch` (the caller's, as many bytes as the JSON has).
   Encoders write no byte beyond cap and return the bytes written, or OCM_E_SPACE. That a room and a
   token have at most 255 bytes, and a payload or `max` at most OCM_LIST_MAX, is asserted. */

/* A TCRP frame. */
typedef struct ocm_frame {
    int op, state;
    ocm_view room, payload;
} ocm_frame;

/* A UDP datagram. */
typedef struct ocm_datagram {
    ocm_view room, token, payload;
} ocm_datagram;

/* A chat message as JSON. A bit of has says which of its keys are there. */
typedef struct ocm_message {
    ocm_view sender, username, reason, text;
    uint64_t operation, seq, first, id;
    unsigned has;
} ocm_message;

enum {
    OCM_HAS_SENDER = 1, OCM_HAS_OPERATION = 2, OCM_HAS_USERNAME = 4, OCM_HAS_REASON = 8,
    OCM_HAS_TEXT = 16, OCM_HAS_SEQ = 32, OCM_HAS_FIRST = 64, OCM_HAS_ID = 128
};

/* A request for a room. An empty view or a 0 stands for what is not given. */
typedef struct ocm_request {
    int op, dialect;
    ocm_view room, name, password, token, ip;
    uint64_t port, level;
} ocm_request;

/* The outcome of a request, as the client reads it. */
typedef struct ocm_outcome {
    ocm_view why, token;            /* why: the server's words, may be empty */
    uint64_t status;                /* as in the JSON dialect: 200, 201, 4xx, 503 */
    uint64_t level, idle, seq, log; /* of level 1; idle in seconds */
} ocm_outcome;

/* One line of a list: a room (size, password) or a member (host). */
typedef struct ocm_listed {
    ocm_view room, username;
    uint64_t size;
    int password, host, more; /* 0 or 1; more: the list was cut here */
} ocm_listed;

/* Bytes consumed, 0 if more are needed, OCM_E_LARGE if the header announces a payload of more than
   max bytes (f->op and f->state are set then). */
OCM_API int ocm_frame_decode(const uint8_t *p, size_t len, size_t max, ocm_frame *f);
OCM_API int ocm_frame_encode(uint8_t *out, size_t cap, int op, int state, ocm_view room,
                             ocm_view payload);
/* Bytes consumed (all of them), OCM_E_BAD if it is shorter than its own lengths say. */
OCM_API int ocm_datagram_decode(const uint8_t *p, size_t len, ocm_datagram *d);
OCM_API int ocm_datagram_encode(uint8_t *out, size_t cap, ocm_view room, ocm_view token,
                                ocm_view payload);
/* 1 if json is one object in which the known keys have the right types, else OCM_E_BAD. */
OCM_API int ocm_message_decode(ocm_view json, uint8_t *scratch, ocm_message *m);
/* Writes what `has` says, without a newline. */
OCM_API int ocm_message_encode(uint8_t *out, size_t cap, const ocm_message *m);
/* 1 if the frame is a request that can be tried, else OCM_E_BAD; op and dialect are always set. */
OCM_API int ocm_request_decode(const ocm_frame *f, uint8_t *scratch, ocm_request *q);
OCM_API int ocm_request_encode(uint8_t *out, size_t cap, const ocm_request *q);
/* 1 if the frame's payload is an outcome in some dialect, else OCM_E_BAD. */
OCM_API int ocm_outcome_decode(const ocm_frame *f, uint8_t *scratch, ocm_outcome *o);
/* 1 if json is a line of a list, without its newline, else OCM_E_BAD. */
OCM_API int ocm_listed_decode(ocm_view json, uint8_t *scratch, ocm_listed *l);
/* Which of count servers (at least 1) has that room: anyone who knows the same names of servers,
   in any order, finds the same one. Rendezvous hashing (Thaler and Ravishankar, 1998): one server
   more takes its share of the rooms from the others and moves no other. */
OCM_API size_t ocm_pick(const ocm_view *servers, size_t count, ocm_view room);

/* ==== 5. Registry =========================================================================== */

/* What a registry holds and allows. A zero stands for the default, which is in parentheses. Ranges
   are asserted. */
typedef struct ocm_limits {
    uint32_t rooms;        /* at once, below 2^30 (1000) */
    uint32_t members;      /* at once, below 2^30 (10000) */
    uint32_t room_size;    /* members of one room (1000) */
    uint32_t origin_size;  /* members of one origin (a quarter of members), and the same share of
                              the rooms; loopback is exempt. An origin is an IPv4 address, or the
                              first 64 bits of an IPv6 address */
    uint32_t origin_joins; /* per second and origin (10), bursts of twice that; not of loopback */
    uint32_t log;          /* bytes of the log of all rooms, 64 KiB to 1 GiB (4 MiB) */
    uint32_t idle;         /* seconds of silence that end a membership (300) */
    uint32_t rate;         /* datagrams per second and member, with bursts of twice as many (50);
                              together, those of an origin but loopback have eight times that */
} ocm_limits;

#define OCM_UNLIMITED UINT32_MAX /* for origin_size, origin_joins, room_size and rate */

/* What a registry has seen since its start, and what it holds now. */
typedef struct ocm_counts {
    uint64_t requests, refused;  /* requests in all, and those answered with an error, like 404 */
    uint64_t datagrams, dropped; /* datagrams in all, and those from nobody who may speak */
    uint64_t messages, rejected; /* messages accepted; not accepted, though some are repeated */
    uint64_t events;             /* datagrams handed out */
    uint32_t rooms, members;     /* now */
} ocm_counts;

typedef struct ocm_registry ocm_registry;

/* What ocm_registry_next found. After 1: a datagram to send. After 0: when to call it again. */
typedef struct ocm_event {
    ocm_addr to;
    ocm_view datagram;   /* the registry's, valid until its next call. If the socket is full, drop
                            it. Several of OCM_BATCH_MAX bytes to one address often follow each
                            other: a system may send them in one call */
    int reason;          /* OCM_REASON_...: this is the last datagram of a membership, and why */
    ocm_view room, name; /* of that member, for a log line; only with a reason */
    uint64_t until;      /* ms; UINT64_MAX: not before the next input */
    uint64_t serial;     /* private, as is all below */
    uint32_t member, number;
} ocm_event;

/* Bytes of memory that a registry takes. limits may be NULL: all defaults. */
OCM_API size_t ocm_registry_size(const ocm_limits *limits);
/* Makes a registry in mem: ocm_registry_size(limits) bytes, for the same limits, of any content,
   aligned as malloc aligns. It stays the caller's, and where it is, as long as the registry lives.
   seed: 32 bytes that nobody can guess; tokens are made of them. */
OCM_API ocm_registry *ocm_registry_init(void *mem, const ocm_limits *limits,
                                        const uint8_t seed[32]);
/* Input: a datagram came; of one longer than OCM_DATAGRAM_MAX, OCM_DATAGRAM_MAX + 1 bytes are
   enough. 1 if it came from a member, 0 if it was dropped. */
OCM_API int ocm_registry_datagram(ocm_registry *g, const uint8_t *p, size_t len,
                                  const ocm_addr *from, uint64_t now);
/* Input: the datagram of this event could not be sent, for a reason other than a full buffer.
   Three of a member in a row, over at least 10 s, end its membership. */
OCM_API void ocm_registry_failed(ocm_registry *g, const ocm_event *ev, uint64_t now);
/* Input: the server stops. Drain to tell every member, and do not call ocm_conn_next any more. */
OCM_API void ocm_registry_stop(ocm_registry *g);
/* Lets time pass, then: 1 and a datagram to send, or 0 and ev->until. */
OCM_API int ocm_registry_next(ocm_registry *g, uint64_t now, ocm_event *ev);
OCM_API const ocm_counts *ocm_registry_counts(const ocm_registry *g);

/* ==== 6. Connection ========================================================================= */

/* The server's side of one TCP connection: about 70 KiB, the caller's. A client may be silent for
   300 s before and between requests; it has 10 s to complete a request, 10 s to take an answer. */
typedef struct ocm_conn ocm_conn;

/* What a program does next with a connection. */
typedef struct ocm_io {
    ocm_view send;       /* bytes to send, as many as the socket takes; valid until its next call */
    size_t read;         /* bytes that it can take now, at most OCM_FRAME_MAX; 0: do not read */
    int shut;            /* 1 until it is to be closed: shut down the sending side, all is sent */
    int close;           /* 1: close it, this connection is over */
    uint64_t until;      /* ms: call ocm_conn_next again then, if nothing happened before */
    int status;          /* of a request that this call has answered; 0: none */
    int op;              /* of that request: any byte, if it was malformed */
    ocm_view room, name; /* of that request, if it was well-formed; valid like `send` */
} ocm_io;

/* A connection was accepted: call ocm_conn_next; OCM_FRAME_MAX bytes may be read. */
OCM_API void ocm_conn_open(ocm_conn *c, const ocm_addr *from, uint64_t now);
/* Input: len bytes came, at most as many as io.read said. 0: the client sends no more. */
OCM_API void ocm_conn_received(ocm_conn *c, const uint8_t *p, size_t len, uint64_t now);
/* Input: the first len bytes of io.send were sent. */
OCM_API void ocm_conn_sent(ocm_conn *c, size_t len);
/* What to do now. It answers at most one request, so that a program can be fair to others. */
OCM_API void ocm_conn_next(ocm_conn *c, ocm_registry *g, uint64_t now, ocm_io *io);
/* The connection is closed, by whichever end: a membership whose answer was not sent is undone. */
OCM_API void ocm_conn_close(ocm_conn *c, ocm_registry *g, uint64_t now);

/* ==== 7. Session ============================================================================ */

/* With OCM_CREATE and OCM_JOIN: what a session wants when it begins. It comes back by joining, and
   only the one that created the room creates it again. */
enum { OCM_JOIN_OR_CREATE = 0 };

/* What to do. Each line names the fields of ocm_action that it sets. */
enum {
    OCM_DO_CONNECT,     /* begin to connect to the server by TCP, and go on draining */
    OCM_DO_REQUEST,     /* send all of `text` on the connection, if possible in one piece, as some
                           servers read only once; if that fails, the connection has ended */
    OCM_DO_DISCONNECT,  /* close the TCP connection; the session is to be told nothing more of it.
                           Comes once after each OCM_DO_CONNECT, also if that failed */
    OCM_DO_SEND,        /* send `text` as one datagram to the server; a failure is ignored */
    OCM_SHOW_ENTERED,   /* the room is entered; status: 201 created, 200 joined; entries below
                           `seq` are past, none if it is 0 */
    OCM_SHOW_MESSAGE,   /* `text` by `name`; own, past, seq */
    OCM_SHOW_JOINED,    /* `name` joined, in the server's words `text`; past, seq; the session's own
                           join is not shown */
    OCM_SHOW_LEFT,      /* `name` left, in the server's words `text`; past, seq */
    OCM_SHOW_NOTICE,    /* `text` from the server */
    OCM_SHOW_REFUSED,   /* own message `text` was refused; why, may be empty */
    OCM_SHOW_UNKNOWN,   /* own message `text`: not sent, or of unknown fate; before the end */
    OCM_SHOW_MISSED,    /* `count` entries are lost for this session */
    OCM_SHOW_OUTAGE,    /* the server is silent, or has removed us (`text`); we try to come back */
    OCM_SHOW_NO_UDP,    /* the server answers by TCP, but nothing comes by UDP */
    OCM_SHOW_BACK,      /* a datagram came again; what was said meanwhile follows, not as past;
                           status: 201 if it had to create the room anew */
    OCM_END             /* the session is over; end, text: the server's words or empty, count:
                           messages that were not sent, or are of unknown fate */
};

/* How a session ended. */
enum {
    OCM_END_LEFT = 1,     /* as its user wished */
    OCM_END_UNCONFIRMED,  /* so, too, but the server's last datagram was lost: harmless, unless
                             there is a count. Or ours were: then the name is taken for `idle` */
    OCM_END_HOST,         /* the host left, and the room is closed */
    OCM_END_REMOVED,      /* removed by the server, for a reason after which nobody comes back */
    OCM_END_NO_SERVER,    /* no connection: the first one is not tried twice */
    OCM_END_NO_ANSWER,    /* no answer within 5 s, or an invalid one */
    OCM_END_NO_ROOM,      /* there is no such room (404) */
    OCM_END_ROOM_EXISTS,  /* it exists already (409, after OCM_CREATE) */
    OCM_END_NAME_TAKEN,   /* somebody else in the room has that name (409) */
    OCM_END_PASSWORD,     /* wrong password (401) */
    OCM_END_FULL,         /* the server takes no more (503) */
    OCM_END_REFUSED       /* any other refusal; status */
};

typedef struct ocm_action {
    int kind;                  /* OCM_DO_, OCM_SHOW_, OCM_END */
    ocm_view text, name, why;  /* valid until the next call for the same session (to say a.text is
                                  allowed, and ends the views) */
    int own, past;             /* said by this session; said before this session entered */
    int status, end;
    uint64_t count, seq;
    uint64_t until;            /* ms, after 0: call ocm_session_next then; as in ocm_event */
} ocm_action;

/* About half a megabyte: static or on the heap, not on the stack. It has no pointers: it may be
   moved between two calls. */
typedef struct ocm_session ocm_session;

/* Starts a session, in memory of any content. want: OCM_JOIN_OR_CREATE, OCM_CREATE or OCM_JOIN.
   Everything is copied. 1, or OCM_E_BAD: no valid room or user name, or the password is too long or
   not UTF-8. */
OCM_API int ocm_session_open(ocm_session *s, int want, ocm_view room, ocm_view name,
                             ocm_view password);
/* Input: the TCP connection is there, and datagrams are received at ip (as text: the local address
   of that connection) and port. */
OCM_API void ocm_session_connected(ocm_session *s, ocm_view ip, uint16_t port, uint64_t now);
/* Input: len bytes came by TCP. 0 (p may be NULL): there is no connection, or it has ended. */
OCM_API void ocm_session_received(ocm_session *s, const uint8_t *p, size_t len, uint64_t now);
/* Input: a datagram came from the server's IP address; of one longer than OCM_DATAGRAM_MAX,
   OCM_DATAGRAM_MAX + 1 bytes are enough. 1 if it was for this session, else 0: so several sessions
   may share a socket. Without level 1 a datagram that has no header goes to the first that is
   asked, and what comes after OCM_REORDER datagrams without a drain is lost. */
OCM_API int ocm_session_datagram(ocm_session *s, const uint8_t *p, size_t len, uint64_t now);
/* Input: the user says one line; also before the room is entered. 1, OCM_E_BAD (not a message, or
   empty), OCM_E_LARGE (more than ocm_session_text_max), OCM_E_FULL (OCM_OUTBOX are waiting, or it
   is leaving). */
OCM_API int ocm_session_say(ocm_session *s, ocm_view text);
/* Input: the user leaves, once every message has its fate, or none has got one for 10 s. Before the
   room is entered, the attempt to enter it goes on, up to 10 s. A program in a hurry just stops:
   then its name is taken for `idle` seconds more. */
OCM_API void ocm_session_leave(ocm_session *s);
/* 1 and something to do, or 0 and a->until. */
OCM_API int ocm_session_next(ocm_session *s, uint64_t now, ocm_action *a);
/* The most bytes a line may have; `"`, `\` and TAB count as two and, on a server without level 1,
   what is not ASCII as 6 for each 16 bits of UTF-16. It changes when the room is entered: token and
   level are known then. */
OCM_API size_t ocm_session_text_max(const ocm_session *s);
/* Messages said that have no fate yet: what a user interface shows as under way. */
OCM_API size_t ocm_session_pending(const ocm_session *s);

/* -- private: complete, so that a connection and a session are plain memory; they may change -- */

typedef struct ocmi_name { /* a name, a password, a token, or the server's words */
    uint8_t len, text[OCM_NAME_MAX];
} ocmi_name;

struct ocm_conn {
    ocm_addr from, at;  /* at: where the member that it is about receives datagrams */
    int phase, half_closed, too_large, kept; /* kept: the member existed, and came back */
    uint64_t deadline;  /* ms */
    uint64_t later;     /* ms: when the second frame of the answer may go */
    uint64_t turn;      /* ms: when the request may be examined; 0: not known */
    uint64_t serial;    /* of the member */
    uint32_t member;    /* that the answer under way makes; 0: none */
    size_t in_len, used, out_at, out_first, out_len;
    ocmi_name name;
    uint8_t in[OCM_FRAME_MAX], out[OCM_ANSWER_MAX];
};

typedef struct ocmi_said { /* one message of the outbox */
    uint16_t len;
    uint8_t text[OCM_TEXT_MAX];
} ocmi_said;

typedef struct ocmi_early { /* one place of the reorder buffer */
    uint64_t seq; /* 0: nothing is here */
    uint16_t len;
    uint8_t json[OCM_DATAGRAM_MAX];
} ocmi_early;

struct ocm_session {
    ocmi_name room, name, password;
    ocmi_name token;     /* empty until the room is entered */
    int phase, op, level;
    int may_create;      /* if there is no such room: it was the host, or its user asked for that */
    int removed;         /* the server said so: what comes late with its token is no sign of life */
    int health;          /* OCM_SHOW_OUTAGE, _NO_UDP or _BACK, whichever was last the case; 0:
                            neither an outage nor a datagram yet */
    int leaving;         /* 1: its user wants to leave; one more for each datagram that says so */
    int connection;      /* its program was told to connect, and not yet to disconnect */
    unsigned shows;      /* bit k: its user is to be told of OCM_SHOW_... k */
    int status, end;
    uint64_t deadline;   /* ms: how long its phase waits; inside: for a datagram, or OCMI_NEVER */
    uint64_t retry_wait; /* ms: the next pause before it connects again */
    uint64_t refused_at; /* ms: the first refusal to come back, or 0 */
    /* reading */
    uint64_t log;        /* which log it is; 0: not told */
    uint64_t entered;    /* seq of the first answer: entries below it are past; 0 on another log */
    uint64_t own_from;   /* seq of the answer that gave it its present token */
    uint64_t next;       /* the entry to be read next: the user has been told of all before */
    uint64_t wanted;     /* the entry that it waits for: all before it have come, or are lost */
    uint64_t newest;     /* the newest entry that it knows of */
    /* speaking: the outbox is a ring; its oldest message is at said_at, and has the id said_id */
    size_t said_at, said_count;
    uint64_t said_id;
    uint64_t taken;      /* the last id that the server is known to have taken */
    uint64_t in_flight;  /* the last id in flight; if it is taken, nothing is */
    uint64_t sent_id;    /* the last id ever sent */
    uint64_t taken_seq;  /* the entry of message `taken` is not above this one, if it has one */
    uint64_t lost_id;    /* messages up to this id may be in entries that it will never see */
    int hold;            /* says nothing until the log is read up to own_from */
    uint64_t unknown;    /* messages without a fate, at the end */
    /* the timer */
    uint64_t entered_at, sent_at; /* ms: the last answer; the last datagram */
    uint64_t give_up;    /* ms: to leave without waiting for fates; OCMI_NEVER: to be set */
    uint64_t given;      /* the position last given: `wanted` - 1, at that time */
    uint64_t ask_at;     /* ms: to give it because of what came or is missing, or OCMI_NEVER */
    uint64_t keep;       /* ms of own silence after which it is given anyway */
    int tries;           /* times that it was given since progress, or a status that confirmed it */
    uint64_t rtt;        /* ms: the last round trip */
    int timed;           /* what went at sent_at was new, and has no answer: a round trip begins */
    /* bytes */
    ocmi_name words;     /* the server's: of the end, of an outage, of a refusal */
    uint64_t words_id;   /* the message that they say was refused, or 0 */
    size_t in_len, request_len;
    uint8_t in[OCM_FRAME_MAX], out[OCM_FRAME_MAX], scratch[OCM_FRAME_MAX];
    ocmi_said said[OCM_OUTBOX];
    ocmi_early early[OCM_REORDER];
};

#endif /* OCM_H */

/* ============================================================================================ */

#ifdef OCM_IMPLEMENTATION
#ifndef OCM_IMPLEMENTED
#define OCM_IMPLEMENTED

#ifndef OCM_ASSERT
#include <assert.h>
#define OCM_ASSERT(x) assert(x)
#endif

/* ==== 2. Text ===============================================================================

   Bytes from outside become text here: UTF-8 that is well-formed, and free of what a terminal
   would obey. Output is written through ocmi_out, which cannot overflow. */

static ocm_view ocmi_view(const uint8_t *p, size_t len)
{
    ocm_view v = {p, len};
    return v;
}

OCM_API ocm_view ocm_text(const char *s)
{
    return ocmi_view((const uint8_t *)s, strlen(s));
}

static ocm_view ocmi_none(void)
{
    return ocmi_view(NULL, 0);
}

static ocm_view ocmi_name_view(const ocmi_name *n)
{
    return ocmi_view(n->text, n->len);
}

static void ocmi_name_set(ocmi_name *n, ocm_view v)
{
    OCM_ASSERT(v.len <= OCM_NAME_MAX);
    n->len = (uint8_t)v.len;
    if (v.len) memcpy(n->text, v.ptr, v.len);
}

OCM_API int ocm_view_equal(ocm_view a, ocm_view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

OCM_API int ocm_utf8_decode(const uint8_t *p, size_t len, uint32_t *c)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n, i;
    if (len == 0) return 0;
    if (p[0] < 0x80) {
        *c = p[0];
        return 1;
    }
    n = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    if (p[0] < 0xC2 || p[0] > 0xF4 || len < n) return 0;
    *c = p[0] & (0x7Fu >> n);
    for (i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
        *c = *c << 6 | (p[i] & 0x3Fu);
    }
    if (*c < least[n] || *c > 0x10FFFF || (*c >= 0xD800 && *c <= 0xDFFF)) return 0;
    return (int)n;
}

/* The index, from i on, of the first byte that is not ASCII or that JSON must escape; len if there
   is none. Most text is ASCII, and need not be decoded. */
static size_t ocmi_ascii_end(ocm_view v, size_t i)
{
    while (i < v.len && v.ptr[i] >= 0x20 && v.ptr[i] < 0x7F && v.ptr[i] != '"' && v.ptr[i] != '\\')
        i++;
    return i;
}

/* One pass over a text: is it well-formed, and what is in it? */
typedef struct ocmi_scan {
    int valid;              /* UTF-8 */
    int controls;           /* characters other than TAB that a terminal would obey */
    int layout;             /* TABs, and those that could reorder or break a line: nothing for a
                               name, which is shown beside other people's words */
    size_t escapes;         /* characters for which JSON needs one byte more */
    size_t beyond_ascii;    /* bytes more that JSON takes if these are written as \uXXXX */
} ocmi_scan;

static ocmi_scan ocmi_text_scan(ocm_view v)
{
    ocmi_scan s = {1, 0, 0, 0, 0};
    uint32_t c;
    size_t i = 0;
    while ((i = ocmi_ascii_end(v, i)) < v.len) {
        int n = ocm_utf8_decode(v.ptr + i, v.len - i, &c);
        if (n == 0) {
            s.valid = 0;
            return s;
        }
        i += (size_t)n;
        if (c == '\t') s.layout = 1;
        else if (c < 0x20 || (c >= 0x7F && c <= 0x9F)) s.controls = 1;
        else if ((c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069)) s.layout = 1;
        if (c == '"' || c == '\\' || c == '\t') s.escapes++;
        if (n > 1) s.beyond_ascii += (n == 4 ? 12 : 6) - (size_t)n;
    }
    return s;
}

OCM_API int ocm_room_valid(ocm_view v)
{
    ocmi_scan s = ocmi_text_scan(v);
    return v.len >= 1 && v.len <= OCM_NAME_MAX && s.valid && !s.controls && !s.layout;
}

OCM_API int ocm_name_valid(ocm_view v)
{
    size_t i;
    if (!ocm_room_valid(v) || ocm_view_equal(v, ocm_text("system"))) return 0;
    for (i = 0; i + 1 < v.len; i++)
        if (v.ptr[i] == ':' && v.ptr[i + 1] == ' ') return 0;
    return 1;
}

OCM_API int ocm_message_valid(ocm_view v)
{
    ocmi_scan s = ocmi_text_scan(v);
    return s.valid && !s.controls;
}

/* Bytes of a valid name or message between the quotes of a JSON string. */
static size_t ocmi_escaped_len(ocm_view v, int ascii)
{
    ocmi_scan s = ocmi_text_scan(v);
    return v.len + s.escapes + (ascii ? s.beyond_ascii : 0);
}

static int ocmi_is_loopback(const uint8_t ip[16])
{
    static const uint8_t one[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    static const uint8_t mapped[13] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 127};
    return memcmp(ip, one, 16) == 0 || memcmp(ip, mapped, 13) == 0;
}

OCM_API int ocm_same_host(const ocm_addr *a, const ocm_addr *b)
{
    int link_local = a->ip[0] == 0xFE && (a->ip[1] & 0xC0) == 0x80;
    if (memcmp(a->ip, b->ip, 16) == 0) return !link_local || a->scope == b->scope;
    return ocmi_is_loopback(a->ip) && ocmi_is_loopback(b->ip);
}

/* Output that never overflows: once something does not fit, `full` is set and the whole result is
   refused. */
typedef struct ocmi_out {
    uint8_t *ptr;
    size_t len, cap;
    int full;
} ocmi_out;

static ocmi_out ocmi_out_open(uint8_t *p, size_t cap)
{
    ocmi_out o = {p, 0, cap, 0};
    return o;
}

static int ocmi_out_close(const ocmi_out *o)
{
    return o->full ? OCM_E_SPACE : (int)o->len;
}

static void ocmi_put(ocmi_out *o, const void *p, size_t len)
{
    if (len > o->cap - o->len) o->full = 1;
    if (o->full || len == 0) return;
    memcpy(o->ptr + o->len, p, len);
    o->len += len;
}

static void ocmi_put_byte(ocmi_out *o, int c)
{
    uint8_t byte = (uint8_t)c;
    ocmi_put(o, &byte, 1);
}

static void ocmi_put_view(ocmi_out *o, ocm_view v)
{
    ocmi_put(o, v.ptr, v.len);
}

static void ocmi_put_text(ocmi_out *o, const char *s)
{
    ocmi_put(o, s, strlen(s));
}

static void ocmi_put_number(ocmi_out *o, uint64_t n)
{
    uint8_t digits[20];
    size_t i = sizeof digits;
    do {
        digits[--i] = (uint8_t)('0' + n % 10);
        n /= 10;
    } while (n);
    ocmi_put(o, digits + i, sizeof digits - i);
}

/* ==== 3. JSON ===============================================================================

   A writer and a strict reader (RFC 8259). A reader function gets a text and an index into it, and
   returns the index just past what it read, or 0 if that is not there: nothing ends at 0. Nesting
   is bounded, so the stack is, too. */

#define OCMI_DEPTH 32 /* levels of values that nobody asked for */

/* A string with its quotes (RFC 8259, 7). */
static void ocmi_put_string(ocmi_out *o, ocm_view v)
{
    static const char hex[] = "0123456789abcdef";
    size_t i, from = 0;
    ocmi_put_byte(o, '"');
    for (i = 0; (i = ocmi_ascii_end(v, i)) < v.len; i++) {
        uint8_t c = v.ptr[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        ocmi_put(o, v.ptr + from, i - from);
        from = i + 1;
        ocmi_put_byte(o, '\\');
        if (c == '"' || c == '\\') {
            ocmi_put_byte(o, c);
        } else if (c == '\t') {
            ocmi_put_byte(o, 't');
        } else {
            ocmi_put_text(o, "u00");
            ocmi_put_byte(o, hex[c >> 4]);
            ocmi_put_byte(o, hex[c & 15]);
        }
    }
    if (from < v.len) ocmi_put(o, v.ptr + from, v.len - from);
    ocmi_put_byte(o, '"');
}

static size_t ocmi_json_space(ocm_view t, size_t i)
{
    while (i < t.len && (t.ptr[i] == ' ' || t.ptr[i] == '\t' || t.ptr[i] == '\n' ||
                         t.ptr[i] == '\r'))
        i++;
    return i;
}

/* One of the characters {}[]:, and the space around it. */
static size_t ocmi_json_byte(ocm_view t, size_t i, int c)
{
    i = ocmi_json_space(t, i);
    return i < t.len && t.ptr[i] == c ? ocmi_json_space(t, i + 1) : 0;
}

static size_t ocmi_json_hex4(ocm_view t, size_t i, uint32_t *c)
{
    size_t end = i + 4;
    if (t.len - i < 4) return 0;
    for (*c = 0; i < end; i++) {
        uint32_t d = t.ptr[i], low = d | 0x20;
        if (d >= '0' && d <= '9') d -= '0';
        else if (low >= 'a' && low <= 'f') d = low - 'a' + 10;
        else return 0;
        *c = *c << 4 | d;
    }
    return end;
}

/* What follows a backslash: one character, or two \u that are a pair of surrogates. */
static size_t ocmi_json_escape(ocm_view t, size_t i, uint32_t *c)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    uint32_t low;
    size_t k;
    if (i == t.len) return 0;
    for (k = 0; from[k]; k++) {
        *c = (uint8_t)to[k];
        if (t.ptr[i] == (uint8_t)from[k]) return i + 1;
    }
    if (t.ptr[i] != 'u' || (i = ocmi_json_hex4(t, i + 1, c)) == 0) return 0;
    if (*c < 0xD800 || *c > 0xDFFF) return i;
    if (*c > 0xDBFF || t.len - i < 2 || t.ptr[i] != '\\' || t.ptr[i + 1] != 'u') return 0;
    if ((i = ocmi_json_hex4(t, i + 2, &low)) == 0 || low < 0xDC00 || low > 0xDFFF) return 0;
    *c = 0x10000 + ((*c - 0xD800) << 10 | (low - 0xDC00));
    return i;
}

static void ocmi_put_utf8(ocmi_out *o, uint32_t c)
{
    static const uint8_t lead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    int n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    ocmi_put_byte(o, (int)(lead[n] | c >> 6 * (n - 1)));
    while (--n > 0) ocmi_put_byte(o, (int)(0x80 | (c >> 6 * (n - 1) & 0x3F)));
}

/* A string. Its text goes to o, and *text is where it stands there. */
static size_t ocmi_json_string(ocm_view t, size_t i, ocmi_out *o, ocm_view *text)
{
    size_t begin = o->len, from = i + 1;
    uint32_t c;
    if (i == t.len || t.ptr[i] != '"') return 0;
    for (i++; (i = ocmi_ascii_end(t, i)) < t.len && t.ptr[i] != '"';) {
        if (t.ptr[i] == '\\') {
            ocmi_put(o, t.ptr + from, i - from);
            if ((i = ocmi_json_escape(t, i + 1, &c)) == 0) return 0;
            ocmi_put_utf8(o, c);
            from = i;
        } else {
            int n = t.ptr[i] < 0x20 ? 0 : ocm_utf8_decode(t.ptr + i, t.len - i, &c);
            if (n == 0) return 0;
            i += (size_t)n;
        }
    }
    if (i == t.len) return 0;
    ocmi_put(o, t.ptr + from, i - from);
    *text = ocmi_view(o->ptr + begin, o->len - begin);
    return i + 1;
}

static size_t ocmi_json_digits(ocm_view t, size_t i)
{
    size_t from = i;
    while (i < t.len && t.ptr[i] >= '0' && t.ptr[i] <= '9') i++;
    return i > from ? i : 0;
}

static size_t ocmi_json_number(ocm_view t, size_t i)
{
    if (i < t.len && t.ptr[i] == '-') i++;
    if (i < t.len && t.ptr[i] == '0') i++;
    else if ((i = ocmi_json_digits(t, i)) == 0) return 0;
    if (i < t.len && t.ptr[i] == '.' && (i = ocmi_json_digits(t, i + 1)) == 0) return 0;
    if (i == t.len || (t.ptr[i] != 'e' && t.ptr[i] != 'E')) return i;
    i++;
    if (i < t.len && (t.ptr[i] == '+' || t.ptr[i] == '-')) i++;
    return ocmi_json_digits(t, i);
}

static size_t ocmi_json_word(ocm_view t, size_t i, const char *word)
{
    for (; *word; word++, i++)
        if (i == t.len || t.ptr[i] != (uint8_t)*word) return 0;
    return i;
}

/* The objects of the protocol are structs. A table of fields says which key stands for which member
   of a struct, for the reader and the writer alike; bit i of `has` stands for field i. */
typedef struct ocmi_field {
    ocm_view key;
    int type;
    size_t at;
} ocmi_field;

enum { OCMI_TEXT, OCMI_MAYBE, OCMI_NUMBER, OCMI_FLAG }; /* ocm_view, or null; uint64_t; int */

#define OCMI_FIELD(key, type, into, member) \
    {{(const uint8_t *)key, sizeof key - 1}, type, offsetof(into, member)}

static void ocmi_put_object(ocmi_out *o, const ocmi_field *f, size_t count, const void *from,
                            unsigned has)
{
    size_t i;
    int c = '{';
    for (i = 0; i < count; i++) {
        const void *value = (const uint8_t *)from + f[i].at;
        if (!(has >> i & 1)) continue;
        ocmi_put_byte(o, c);
        ocmi_put_byte(o, '"');
        ocmi_put_view(o, f[i].key);
        ocmi_put_text(o, "\":");
        if (f[i].type == OCMI_NUMBER) ocmi_put_number(o, *(const uint64_t *)value);
        else if (f[i].type == OCMI_FLAG) ocmi_put_text(o, *(const int *)value ? "true" : "false");
        else if (f[i].type == OCMI_TEXT || ((const ocm_view *)value)->len)
            ocmi_put_string(o, *(const ocm_view *)value);
        else ocmi_put_text(o, "null");
        c = ',';
    }
    if (c == '{') ocmi_put_byte(o, c);
    ocmi_put_byte(o, '}');
}

/* What a reader looks for in an object, and what it found. */
typedef struct ocmi_wanted {
    const ocmi_field *fields;
    size_t count;
    void *into;
    unsigned has;
} ocmi_wanted;

/* An integer in digits only, of at most OCM_INTEGER_MAX; 0 if v is anything else. */
static int ocmi_whole(ocm_view v, uint64_t *n)
{
    size_t i;
    for (*n = 0, i = 0; i < v.len; i++) {
        if (v.ptr[i] < '0' || v.ptr[i] > '9') return 0;
        *n = *n * 10 + (uint64_t)(v.ptr[i] - '0');
        if (*n > OCM_INTEGER_MAX) return 0;
    }
    return 1;
}

/* Puts a value, which has that text if it is a string, where its key belongs. 0 if it has the wrong
   type. */
static int ocmi_wanted_set(ocmi_wanted *w, ocm_view key, ocm_view value, ocm_view text)
{
    int c = value.ptr[0], type;
    size_t i = 0;
    void *into;
    while (i < w->count && !ocm_view_equal(key, w->fields[i].key)) i++;
    if (i == w->count) return 1;
    w->has |= 1u << i;
    into = (uint8_t *)w->into + w->fields[i].at;
    type = w->fields[i].type;
    if (type == OCMI_NUMBER) return ocmi_whole(value, (uint64_t *)into);
    if (type == OCMI_FLAG) {
        *(int *)into = c == 't';
        return c == 't' || c == 'f';
    }
    *(ocm_view *)into = text;
    return c == '"' || (c == 'n' && type == OCMI_MAYBE);
}

static size_t ocmi_json_nested(ocm_view t, size_t i, int depth, ocmi_out *o, ocmi_wanted *w);

/* A value of any kind, of at most `depth` levels of its own. */
static size_t ocmi_json_value(ocm_view t, size_t i, int depth, ocmi_out *o, ocm_view *text)
{
    ocmi_wanted nothing = {NULL, 0, NULL, 0};
    switch (i < t.len ? t.ptr[i] : 0) {
    case '"': return ocmi_json_string(t, i, o, text);
    case 't': return ocmi_json_word(t, i, "true");
    case 'f': return ocmi_json_word(t, i, "false");
    case 'n': return ocmi_json_word(t, i, "null");
    case '{': case '[': return depth ? ocmi_json_nested(t, i, depth - 1, o, &nothing) : 0;
    default: return ocmi_json_number(t, i);
    }
}

/* An object, or an array, which is an object without keys. */
static size_t ocmi_json_nested(ocm_view t, size_t i, int depth, ocmi_out *o, ocmi_wanted *w)
{
    int object = t.ptr[i] == '{', close = object ? '}' : ']';
    size_t from, end = ocmi_json_byte(t, i + 1, close);
    if (end) return end;
    for (i = ocmi_json_space(t, i + 1); i; i = ocmi_json_byte(t, i, ',')) {
        ocm_view key = ocmi_none(), text = ocmi_none();
        if (object && (i = ocmi_json_string(t, i, o, &key)) == 0) return 0;
        if (object && (i = ocmi_json_byte(t, i, ':')) == 0) return 0;
        from = i;
        if ((i = ocmi_json_value(t, i, depth, o, &text)) == 0) return 0;
        if (object && !ocmi_wanted_set(w, key, ocmi_view(t.ptr + from, i - from), text)) return 0;
        if ((end = ocmi_json_byte(t, i, close)) != 0) return end;
    }
    return 0; /* neither a comma nor the end */
}

/* A whole object into a struct: 1, and bit i of *has set if field i was there. Of a key that comes
   twice the last value stays. Texts are put into scratch: they need no more bytes than json has. */
static int ocmi_json_object(ocm_view json, const ocmi_field *f, size_t count, void *into,
                            uint8_t *scratch, unsigned *has)
{
    ocmi_wanted w = {f, count, into, 0};
    ocmi_out o = ocmi_out_open(scratch, json.len);
    size_t i = ocmi_json_space(json, 0);
    int good = i < json.len && json.ptr[i] == '{' &&
               ocmi_json_nested(json, i, OCMI_DEPTH, &o, &w) == json.len;
    *has = w.has;
    return good ? 1 : OCM_E_BAD;
}

/* ==== 4. Wire ===============================================================================

   Frames, datagrams, and the JSON in them. Lengths are compared with what remains and never added
   to a pointer first, so no length that a stranger chose can lead outside. */

OCM_API int ocm_frame_decode(const uint8_t *p, size_t len, size_t max, ocm_frame *f)
{
    uint64_t payload = 0;
    size_t room, i;
    OCM_ASSERT(max <= OCM_LIST_MAX);
    if (len < OCM_HEADER_LEN) return 0;
    room = p[0];
    f->op = p[1];
    f->state = p[2];
    for (i = 3; i < OCM_HEADER_LEN; i++) {
        payload = payload << 8 | p[i];
        if (payload > max) return OCM_E_LARGE; /* before the next shift could lose a bit */
    }
    if (len - OCM_HEADER_LEN < room || len - OCM_HEADER_LEN - room < payload) return 0;
    f->room = ocmi_view(p + OCM_HEADER_LEN, room);
    f->payload = ocmi_view(p + OCM_HEADER_LEN + room, (size_t)payload);
    return (int)(OCM_HEADER_LEN + room + payload);
}

static void ocmi_put_frame(ocmi_out *o, int op, int state, ocm_view room, size_t payload_len)
{
    uint8_t head[OCM_HEADER_LEN] = {0};
    int i;
    OCM_ASSERT(room.len <= OCM_NAME_MAX && payload_len <= OCM_LIST_MAX);
    head[0] = (uint8_t)room.len;
    head[1] = (uint8_t)op;
    head[2] = (uint8_t)state;
    for (i = 0; i < 3; i++) head[OCM_HEADER_LEN - 1 - i] = (uint8_t)(payload_len >> (8 * i));
    ocmi_put(o, head, sizeof head);
    ocmi_put_view(o, room);
}

OCM_API int ocm_frame_encode(uint8_t *out, size_t cap, int op, int state, ocm_view room,
                             ocm_view payload)
{
    ocmi_out o = ocmi_out_open(out, cap);
    ocmi_put_frame(&o, op, state, room, payload.len);
    ocmi_put_view(&o, payload);
    return ocmi_out_close(&o);
}

OCM_API int ocm_datagram_decode(const uint8_t *p, size_t len, ocm_datagram *d)
{
    size_t head;
    if (len < 2) return OCM_E_BAD;
    head = 2u + p[0] + p[1];
    if (len < head) return OCM_E_BAD;
    d->room = ocmi_view(p + 2, p[0]);
    d->token = ocmi_view(p + 2 + p[0], p[1]);
    d->payload = ocmi_view(p + head, len - head);
    return (int)len;
}

static void ocmi_put_datagram_head(ocmi_out *o, ocm_view room, ocm_view token)
{
    OCM_ASSERT(room.len <= OCM_NAME_MAX && token.len <= OCM_TOKEN_MAX);
    ocmi_put_byte(o, (int)room.len);
    ocmi_put_byte(o, (int)token.len);
    ocmi_put_view(o, room);
    ocmi_put_view(o, token);
}

OCM_API int ocm_datagram_encode(uint8_t *out, size_t cap, ocm_view room, ocm_view token,
                                ocm_view payload)
{
    ocmi_out o = ocmi_out_open(out, cap < OCM_DATAGRAM_MAX ? cap : OCM_DATAGRAM_MAX);
    ocmi_put_datagram_head(&o, room, token);
    ocmi_put_view(&o, payload);
    return ocmi_out_close(&o);
}

static const ocmi_field ocmi_message_fields[] = { /* in the order of OCM_HAS_ */
    OCMI_FIELD("sender", OCMI_TEXT, ocm_message, sender),
    OCMI_FIELD("operation", OCMI_NUMBER, ocm_message, operation),
    OCMI_FIELD("username", OCMI_TEXT, ocm_message, username),
    OCMI_FIELD("reason", OCMI_TEXT, ocm_message, reason),
    OCMI_FIELD("message", OCMI_TEXT, ocm_message, text),
    OCMI_FIELD("seq", OCMI_NUMBER, ocm_message, seq),
    OCMI_FIELD("first", OCMI_NUMBER, ocm_message, first),
    OCMI_FIELD("id", OCMI_NUMBER, ocm_message, id),
};

OCM_API int ocm_message_decode(ocm_view json, uint8_t *scratch, ocm_message *m)
{
    memset(m, 0, sizeof *m);
    return ocmi_json_object(json, ocmi_message_fields, 8, m, scratch, &m->has);
}

static void ocmi_put_message(ocmi_out *o, const ocm_message *m)
{
    ocmi_put_object(o, ocmi_message_fields, 8, m, m->has);
}

OCM_API int ocm_message_encode(uint8_t *out, size_t cap, const ocm_message *m)
{
    ocmi_out o = ocmi_out_open(out, cap);
    ocmi_put_message(&o, m);
    return ocmi_out_close(&o);
}

/* What a message to or from the server itself has: sender "system" and an operation. */
static ocm_message ocmi_system(int operation, unsigned has)
{
    ocm_message m;
    memset(&m, 0, sizeof m);
    m.sender = ocm_text("system");
    m.operation = (uint64_t)operation;
    m.has = OCM_HAS_SENDER | OCM_HAS_OPERATION | has;
    return m;
}

static int ocmi_is_system(const ocm_message *m)
{
    return ocm_view_equal(m->sender, ocm_text("system"));
}

/* At level 1 a datagram holds several objects, each on a line. Adds one, or returns 0 if it does
   not fit; the first one, right after the head, may be longer than a batch. */
static int ocmi_put_line(ocmi_out *o, size_t head, const ocm_message *m)
{
    const ocmi_out before = *o;
    ocmi_put_message(o, m);
    ocmi_put_byte(o, '\n');
    if (before.len == head || (!o->full && o->len <= OCM_BATCH_MAX)) return 1;
    *o = before;
    return 0;
}

/* Takes the next line that is not empty from *rest; 0 if there is none. */
static int ocmi_line_next(ocm_view *rest, ocm_view *line)
{
    while (rest->len) {
        const uint8_t *end = (const uint8_t *)memchr(rest->ptr, '\n', rest->len);
        size_t len = end ? (size_t)(end - rest->ptr) : rest->len, step = end ? len + 1 : len;
        *line = ocmi_view(rest->ptr, len);
        rest->ptr += step;
        rest->len -= step;
        if (len) return 1;
    }
    return 0;
}

static const ocmi_field ocmi_request_fields[] = {
    OCMI_FIELD("username", OCMI_TEXT, ocm_request, name),
    OCMI_FIELD("password", OCMI_TEXT, ocm_request, password),
    OCMI_FIELD("ip", OCMI_TEXT, ocm_request, ip),
    OCMI_FIELD("port", OCMI_NUMBER, ocm_request, port),
    OCMI_FIELD("ocm", OCMI_NUMBER, ocm_request, level),
    OCMI_FIELD("token", OCMI_TEXT, ocm_request, token),
};

OCM_API int ocm_request_decode(const ocm_frame *f, uint8_t *scratch, ocm_request *q)
{
    /* A payload that begins with a brace is JSON, unless the state says that it is a team A's. */
    int json = f->state != OCM_STATE_ACK && f->payload.len > 0 && f->payload.ptr[0] == '{';
    unsigned has = 0;
    memset(q, 0, sizeof *q);
    q->op = f->op;
    q->dialect = json ? OCM_DIALECT_JSON
               : f->state == OCM_STATE_REQUEST ? OCM_DIALECT_TEXT : OCM_DIALECT_TEAM_A;
    q->room = f->room;
    if (f->op < OCM_CREATE || f->op > OCM_LIST || f->state > OCM_STATE_COMPLETE) return OCM_E_BAD;
    if (!json) q->name = f->payload;
    else if (ocmi_json_object(f->payload, ocmi_request_fields, 6, q, scratch, &has) < 0)
        return OCM_E_BAD;
    if (q->password.len > OCM_NAME_MAX) return OCM_E_BAD;
    if ((has & 8) && (q->port < 1024 || q->port > 65535)) return OCM_E_BAD;
    if (q->op == OCM_LIST && q->room.len == 0) return json ? 1 : OCM_E_BAD;
    if (!ocm_room_valid(q->room)) return OCM_E_BAD;
    return (q->op == OCM_LIST ? json : ocm_name_valid(q->name)) ? 1 : OCM_E_BAD;
}

OCM_API int ocm_request_encode(uint8_t *out, size_t cap, const ocm_request *q)
{
    uint8_t json[OCM_PAYLOAD_MAX];
    ocmi_out o = ocmi_out_open(json, sizeof json);
    int state = q->dialect == OCM_DIALECT_TEAM_A ? OCM_STATE_ACK : OCM_STATE_REQUEST;
    unsigned has = (q->name.len ? 1u : 0u) | (q->op != OCM_LIST || q->password.len ? 2u : 0u) |
                   (q->ip.len ? 4u : 0u) | (q->port ? 8u : 0u) | (q->level ? 16u : 0u) |
                   (q->token.len ? 32u : 0u);
    if (q->dialect != OCM_DIALECT_JSON)
        return ocm_frame_encode(out, cap, q->op, state, q->room, q->name);
    ocmi_put_object(&o, ocmi_request_fields, 6, q, has);
    if (o.full) return OCM_E_SPACE;
    return ocm_frame_encode(out, cap, q->op, state, q->room, ocmi_view(json, o.len));
}

static const ocmi_field ocmi_outcome_fields[] = {
    OCMI_FIELD("status", OCMI_NUMBER, ocm_outcome, status),
    OCMI_FIELD("status_code", OCMI_NUMBER, ocm_outcome, status),
    OCMI_FIELD("message", OCMI_TEXT, ocm_outcome, why),
    OCMI_FIELD("token", OCMI_MAYBE, ocm_outcome, token),
    OCMI_FIELD("user_token", OCMI_MAYBE, ocm_outcome, token),
    OCMI_FIELD("ocm", OCMI_NUMBER, ocm_outcome, level),
    OCMI_FIELD("idle", OCMI_NUMBER, ocm_outcome, idle),
    OCMI_FIELD("seq", OCMI_NUMBER, ocm_outcome, seq),
    OCMI_FIELD("log", OCMI_NUMBER, ocm_outcome, log),
};

OCM_API int ocm_outcome_decode(const ocm_frame *f, uint8_t *scratch, ocm_outcome *o)
{
    const ocm_view error = ocm_text("error: "), v = f->payload;
    unsigned has;
    memset(o, 0, sizeof *o);
    if (v.len > 0 && v.ptr[0] == '{') {
        if (ocmi_json_object(v, ocmi_outcome_fields, 9, o, scratch, &has) < 0) return OCM_E_BAD;
    } else if (v.len >= error.len && memcmp(v.ptr, error.ptr, error.len) == 0) {
        o->status = 400;
        o->why = ocmi_view(v.ptr + error.len, v.len - error.len);
    } else {
        o->status = 200;
        o->token = v;
    }
    if (o->status < 200 || o->status > 599) return OCM_E_BAD;
    if (o->status >= 300) return 1;
    return o->token.len >= 1 && o->token.len <= OCM_TOKEN_MAX ? 1 : OCM_E_BAD;
}

static const ocmi_field ocmi_listed_fields[] = {
    OCMI_FIELD("room", OCMI_TEXT, ocm_listed, room),
    OCMI_FIELD("size", OCMI_NUMBER, ocm_listed, size),
    OCMI_FIELD("password_required", OCMI_FLAG, ocm_listed, password),
    OCMI_FIELD("username", OCMI_TEXT, ocm_listed, username),
    OCMI_FIELD("host", OCMI_FLAG, ocm_listed, host),
    OCMI_FIELD("more", OCMI_FLAG, ocm_listed, more),
};

OCM_API int ocm_listed_decode(ocm_view json, uint8_t *scratch, ocm_listed *l)
{
    unsigned has;
    memset(l, 0, sizeof *l);
    return ocmi_json_object(json, ocmi_listed_fields, 6, l, scratch, &has);
}

static uint64_t ocmi_load64(const uint8_t *p) /* little-endian; written out, it becomes one load */
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
           (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 |
           (uint64_t)p[7] << 56;
}

static void ocmi_store64(uint8_t *p, uint64_t x)
{
    int i;
    for (i = 0; i < 8; i++) p[i] = (uint8_t)(x >> (8 * i));
}

static uint64_t ocmi_rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

/* Rounds of SipHash over eight bytes. */
static void ocmi_sip(uint64_t v[4], uint64_t bytes, int rounds)
{
    uint64_t a = v[0], b = v[1], c = v[2], d = v[3] ^ bytes; /* these stay in registers */
    while (rounds--) {
        a += b, b = ocmi_rotate(b, 13) ^ a, a = ocmi_rotate(a, 32);
        c += d, d = ocmi_rotate(d, 16) ^ c;
        a += d, d = ocmi_rotate(d, 21) ^ a;
        c += b, b = ocmi_rotate(b, 17) ^ c, c = ocmi_rotate(c, 32);
    }
    v[0] = a ^ bytes, v[1] = b, v[2] = c, v[3] = d;
}

/* SipHash-2-4 (Aumasson and Bernstein, 2012): without the key nobody can predict a token, or find
   names that share a chain of a hash table. */
static uint64_t ocmi_hash(const uint8_t key[16], ocm_view text)
{
    uint64_t k0 = ocmi_load64(key), k1 = ocmi_load64(key + 8), v[4];
    uint8_t last[8] = {0};
    size_t i;
    v[0] = k0 ^ 0x736f6d6570736575u, v[1] = k1 ^ 0x646f72616e646f6du;
    v[2] = k0 ^ 0x6c7967656e657261u, v[3] = k1 ^ 0x7465646279746573u;
    for (i = 0; text.len - i >= 8; i += 8) ocmi_sip(v, ocmi_load64(text.ptr + i), 2);
    if (text.len > i) memcpy(last, text.ptr + i, text.len - i);
    last[7] = (uint8_t)text.len;
    ocmi_sip(v, ocmi_load64(last), 2);
    v[2] ^= 0xff;
    ocmi_sip(v, 0, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

OCM_API size_t ocm_pick(const ocm_view *servers, size_t count, ocm_view room)
{
    uint8_t key[16] = {0}, own[16] = {0};
    uint64_t best = 0;
    size_t i, pick = 0;
    OCM_ASSERT(count > 0);
    for (i = 0; i < count; i++) { /* the hash of a server's name is the key that hashes the room */
        uint64_t score;
        ocmi_store64(own, ocmi_hash(key, servers[i]));
        score = ocmi_hash(own, room);
        if (i == 0 || score > best) best = score, pick = i;
    }
    return pick;
}

/* ==== 5. Registry: storage ==================================================================

   The caller's block holds slots for rooms, members and origins, hash tables over them, and the
   log. Slots are numbered from 1, and 0 is nobody: a slot number serves as a pointer of 32 bits.
   Memory is touched when it is first needed.

   Lists are doubly linked, and tables are chained, through fields inside the slots: `links` and
   `chains` point to those of slot 0, and `stride` is the size of a slot. A slot whose link is zeros
   is in no list, or the only one in it: ocmi_in_list tells which. */

typedef struct ocmi_link {
    uint32_t prev, next;
} ocmi_link;

typedef struct ocmi_list {
    uint8_t *links;
    size_t stride;
    uint32_t head, tail;
} ocmi_list;

typedef struct ocmi_table {
    uint8_t *chains;
    size_t stride;
    uint32_t *head;
    uint32_t mask;
} ocmi_table;

/* One entry of the log. Its JSON follows, ended by a newline. */
typedef struct ocmi_entry {
    uint64_t seq;
    uint64_t log;        /* of its room, whose slot may have another one now */
    uint32_t room;
    uint32_t sender;     /* member slot, 0: the server */
    uint32_t chain;      /* an older entry with that hash, as unit + 1 */
    uint16_t json_len;   /* of the whole object and a newline */
    uint16_t plain_len;  /* of the object without its id and without the closing brace */
} ocmi_entry;

typedef struct ocmi_room {
    uint64_t seq;        /* newest entry */
    uint64_t first;      /* oldest entry held; seq + 1 if none is */
    uint64_t done;       /* every member that is not paused has been sent the log up to here */
    uint64_t pass;       /* what done becomes when the fan-out pass under way ends */
    uint64_t log;        /* no other room has it, here or on another server; 0: the slot is free */
    uint64_t probe_at;   /* ms: when it will have been quiet for OCMI_PROBE_MS */
    uint64_t password;   /* keyed hash of it */
    uint32_t base;       /* where its entries begin in the table */
    uint32_t cursor;     /* the member that the pass has come to; 0: no pass is under way */
    uint32_t host, size;
    ocmi_list members;
    ocmi_link all, pending, quiet; /* of the open rooms; with a pass to go; waiting for a probe */
    uint32_t chain;
    uint8_t open, locked, probes;
    ocmi_name name;
} ocmi_room;

typedef struct ocmi_member {
    ocm_addr addr; /* where it is sent to; datagrams count from that address only */
    uint8_t token[OCM_TOKEN_LEN];
    uint64_t serial;       /* no other member of this registry ever has it */
    uint64_t sent;         /* the cursor: it has been sent the log up to here */
    uint64_t stop;         /* it is sent nothing above this entry; UINT64_MAX: no limit */
    uint64_t position;     /* the highest that it has given */
    uint64_t taken;        /* the last id that was taken from it */
    uint64_t expires;      /* ms: it times out then, unless it gives a sign of life */
    uint64_t spent;        /* rate: see ocmi_spend */
    uint64_t told;         /* ms: no notice before */
    uint64_t rejected;     /* the id that its notice is about, 0: none */
    uint32_t room, origin;
    uint32_t failed_at;      /* ms, modulo 2^32: the first failed send in a row */
    uint16_t events, failed; /* events handed out for it; the last of them that failed */
    ocmi_link in_room, due;
    ocmi_link waiting; /* for its next sign of life */
    uint32_t token_chain, name_chain;
    uint8_t dialect, level, heard, status, notice, reason, announced, failures;
    ocmi_name name;
} ocmi_member;

typedef struct ocmi_origin { /* who asks, as limits count: see ocmi_origin_key */
    uint64_t key;
    uint32_t members, rooms, chain; /* rooms: of which one of them is the host */
    uint64_t spent;  /* rate of joins */
    uint64_t said;   /* rate of what all its members send */
    ocmi_link idle;  /* of those without members, oldest first */
} ocmi_origin;

typedef struct ocmi_guess { /* after a wrong password */
    uint64_t origin; /* its key */
    uint64_t room;   /* hash of its name; 0: all rooms */
    uint64_t until;        /* ms: after that nobody waits */
    uint64_t next;         /* ms: when the next request may be examined */
} ocmi_guess;

/* One key for each purpose, so that nothing that one of them shows helps with another. */
enum { OCMI_KEY_TABLES, OCMI_KEY_PASSWORDS, OCMI_KEY_LOGS, OCMI_KEY_TOKENS, OCMI_KEYS };

#define OCMI_UNIT 32u        /* bytes: entries of the log begin at multiples of it */
#define OCMI_ENTRY_MAX 8192u /* bytes that no entry exceeds: OCM_TEXT_MAX bounds its JSON */
#define OCMI_REMOVED_MAX 700u /* bytes that no notice 3 exceeds: a name has at most 510 in JSON */
#define OCMI_BEHIND 64u      /* entries of a room that not everyone has been sent */
#define OCMI_PROBE_MS 3000u
#define OCMI_PROBES 10u
#define OCMI_FRESH_MS 10000u /* within which a new member of level 1 is heard, or it is out */
#define OCMI_UNREACHABLE_MS 10000u
#define OCMI_ORIGIN_RATE 8u  /* the members of an origin together send as much as so many may */
#define OCMI_TURN 32u        /* datagrams for one room, or for one member alone, before the next */
#define OCMI_GUESSES 256u
#define OCMI_GUESS_SHARE 16 /* entries of one origin, before it gets one for all rooms */
#define OCMI_MAGIC 0x4F434D32u

struct ocm_registry {
    uint32_t magic;
    ocm_limits limits;
    ocm_counts counts;
    uint8_t key[OCMI_KEYS][16];
    uint64_t now;          /* ms: the time of the call under way */
    uint64_t serial;       /* rooms and members so far */
    ocmi_room *room;       /* [1..rooms] */
    ocmi_member *member;   /* [1..members] */
    ocmi_origin *origin;   /* [1..origins] */
    uint8_t *log;
    ocmi_table rooms, tokens, names, origins, entries;
    uint32_t log_units, log_head, log_tail; /* in OCMI_UNIT bytes */
    int log_begun;         /* it has an entry: from then on it always has one */
    uint32_t room_top, member_top, origin_top, origin_count; /* top: slots ever used */
    ocmi_list rooms_free, members_free;       /* slots given back */
    ocmi_list open;                           /* rooms */
    ocmi_list alive[2];   /* members by `heard`, the one that times out next first */
    ocmi_list quiet;                          /* rooms, the one that is probed next first */
    ocmi_list idle_origins;
    ocmi_list pending, due;                   /* see "delivery" */
    uint32_t turn; /* datagrams handed out in the turn under way */
    int due_turn;  /* it is a turn of due */
    ocmi_guess guess[OCMI_GUESSES];
    uint8_t out[OCM_DATAGRAM_MAX];            /* the datagram handed out */
    const ocmi_entry *text_of; /* the entry whose words are in text, see ocmi_put_entry */
    size_t text_len;
    uint8_t text[OCM_DATAGRAM_MAX];
};

/* The list must be zeros, and so must a slot's link be before it is first appended. */
#define OCMI_LIST_OPEN(list, slots, link) \
    ((list)->links = (uint8_t *)&(slots)->link, (list)->stride = sizeof *(slots))
#define OCMI_TABLE_OPEN(table, slots, chain) \
    ((table)->chains = (uint8_t *)&(slots)->chain, (table)->stride = sizeof *(slots))

static ocmi_link *ocmi_link_of(const ocmi_list *l, uint32_t slot)
{
    return (ocmi_link *)(void *)(l->links + l->stride * slot);
}

static int ocmi_in_list(const ocmi_list *l, uint32_t slot)
{
    return l->head == slot || ocmi_link_of(l, slot)->prev != 0;
}

/* Appends a slot that is in no list through this link, or in this one already: then it stays. */
static void ocmi_append(ocmi_list *l, uint32_t slot)
{
    ocmi_link *link = ocmi_link_of(l, slot);
    if (ocmi_in_list(l, slot)) return;
    link->prev = l->tail;
    if (l->tail) ocmi_link_of(l, l->tail)->next = slot;
    else l->head = slot;
    l->tail = slot;
}

/* Removes a slot that is in this list, or in none through this link. */
static void ocmi_unlink(ocmi_list *l, uint32_t slot)
{
    ocmi_link *link = ocmi_link_of(l, slot);
    if (!ocmi_in_list(l, slot)) return;
    if (link->prev) ocmi_link_of(l, link->prev)->next = link->next;
    else l->head = link->next;
    if (link->next) ocmi_link_of(l, link->next)->prev = link->prev;
    else l->tail = link->prev;
    link->prev = link->next = 0;
}

static void ocmi_to_end(ocmi_list *l, uint32_t slot)
{
    ocmi_unlink(l, slot);
    ocmi_append(l, slot);
}

static uint32_t *ocmi_table_at(const ocmi_table *t, uint64_t hash)
{
    return &t->head[(uint32_t)(hash >> 32) & t->mask];
}

static uint32_t *ocmi_chain_of(const ocmi_table *t, uint32_t slot)
{
    return (uint32_t *)(void *)(t->chains + t->stride * slot);
}

static void ocmi_table_add(const ocmi_table *t, uint64_t hash, uint32_t slot)
{
    uint32_t *at = ocmi_table_at(t, hash);
    *ocmi_chain_of(t, slot) = *at;
    *at = slot;
}

static void ocmi_table_remove(const ocmi_table *t, uint64_t hash, uint32_t slot)
{
    uint32_t *at = ocmi_table_at(t, hash);
    while (*at != slot) at = ocmi_chain_of(t, *at);
    *at = *ocmi_chain_of(t, slot);
}

/* The next `bytes` of the block; NULL while only the size is asked for. */
static void *ocmi_carve(uint8_t *mem, size_t *at, size_t bytes)
{
    size_t from = *at;
    *at = (from + bytes + 63) & ~(size_t)63;
    return mem ? mem + from : NULL;
}

static void ocmi_carve_table(ocmi_table *t, uint8_t *mem, size_t *at, uint32_t slots)
{
    uint32_t heads = 1;
    while (heads < slots) heads *= 2;
    t->mask = heads - 1;
    t->head = (uint32_t *)ocmi_carve(mem, at, sizeof(uint32_t) * heads);
    if (mem) memset(t->head, 0, sizeof(uint32_t) * heads);
}

static void ocmi_limits_fill(ocm_limits *l)
{
    if (!l->rooms) l->rooms = 1000;
    if (!l->members) l->members = 10000;
    if (!l->room_size) l->room_size = 1000;
    if (!l->origin_size) l->origin_size = l->members < 4 ? 1 : l->members / 4;
    if (!l->origin_joins) l->origin_joins = 10;
    if (!l->log) l->log = 4u << 20;
    if (!l->idle) l->idle = 300;
    if (!l->rate) l->rate = 50;
    OCM_ASSERT(l->log >= 65536 && l->log <= 1u << 30);
    OCM_ASSERT(l->rooms < 1u << 30 && (size_t)l->rooms < SIZE_MAX / 4096);
    OCM_ASSERT(l->members < 1u << 30 && (size_t)l->members < SIZE_MAX / 4096);
}

#define OCMI_CARVE(type, mem, at, count) (type *)ocmi_carve(mem, at, sizeof(type) * (size_t)(count))

/* The one place that knows how the block is divided: with mem NULL it only adds up. There are more
   slots for origins than for members, so that some origins without members are remembered. */
static size_t ocmi_layout(ocm_registry *g, const ocm_limits *limits, uint8_t *mem)
{
    const ocm_limits *l = &g->limits;
    size_t at = 0;
    memset(g, 0, sizeof *g);
    if (limits) g->limits = *limits;
    ocmi_limits_fill(&g->limits);
    g->log_units = l->log / OCMI_UNIT;
    g->origin_count = l->members + OCMI_GUESSES;
    ocmi_carve(NULL, &at, sizeof *g);
    g->room = OCMI_CARVE(ocmi_room, mem, &at, l->rooms + 1);
    g->member = OCMI_CARVE(ocmi_member, mem, &at, l->members + 1);
    g->origin = OCMI_CARVE(ocmi_origin, mem, &at, g->origin_count + 1);
    g->log = OCMI_CARVE(uint8_t, mem, &at, g->log_units * OCMI_UNIT);
    ocmi_carve_table(&g->rooms, mem, &at, l->rooms);
    ocmi_carve_table(&g->tokens, mem, &at, l->members);
    ocmi_carve_table(&g->names, mem, &at, l->members);
    ocmi_carve_table(&g->origins, mem, &at, g->origin_count);
    ocmi_carve_table(&g->entries, mem, &at, g->log_units / 4);
    if (!mem) return at;
    memset(g->room, 0, sizeof *g->room); /* slot 0 may be looked at: it is nobody */
    memset(g->member, 0, sizeof *g->member);
    OCMI_TABLE_OPEN(&g->rooms, g->room, chain);
    OCMI_TABLE_OPEN(&g->tokens, g->member, token_chain);
    OCMI_TABLE_OPEN(&g->names, g->member, name_chain);
    OCMI_TABLE_OPEN(&g->origins, g->origin, chain);
    OCMI_LIST_OPEN(&g->rooms_free, g->room, all);
    OCMI_LIST_OPEN(&g->open, g->room, all);
    OCMI_LIST_OPEN(&g->pending, g->room, pending);
    OCMI_LIST_OPEN(&g->quiet, g->room, quiet);
    OCMI_LIST_OPEN(&g->members_free, g->member, in_room);
    OCMI_LIST_OPEN(&g->alive[0], g->member, waiting);
    OCMI_LIST_OPEN(&g->alive[1], g->member, waiting);
    OCMI_LIST_OPEN(&g->due, g->member, due);
    OCMI_LIST_OPEN(&g->idle_origins, g->origin, idle);
    return at;
}

OCM_API size_t ocm_registry_size(const ocm_limits *limits)
{
    ocm_registry g;
    return ocmi_layout(&g, limits, NULL);
}

OCM_API ocm_registry *ocm_registry_init(void *mem, const ocm_limits *limits, const uint8_t seed[32])
{
    ocm_registry *g = (ocm_registry *)mem;
    uint8_t purpose;
    OCM_ASSERT(mem != NULL && seed != NULL && ((uintptr_t)mem & (sizeof(uint64_t) - 1)) == 0);
    ocmi_layout(g, limits, (uint8_t *)mem);
    for (purpose = 0; purpose < OCMI_KEYS; purpose++) {
        ocmi_store64(g->key[purpose], ocmi_hash(seed, ocmi_view(&purpose, 1)));
        ocmi_store64(g->key[purpose] + 8, ocmi_hash(seed + 16, ocmi_view(&purpose, 1)));
    }
    g->magic = OCMI_MAGIC;
    return g;
}

/* Each input brings the time. */
static void ocmi_tick(ocm_registry *g, uint64_t now)
{
    OCM_ASSERT(g->magic == OCMI_MAGIC && now >= g->now);
    g->now = now;
}

OCM_API const ocm_counts *ocm_registry_counts(const ocm_registry *g)
{
    OCM_ASSERT(g->magic == OCMI_MAGIC);
    return &g->counts;
}

/* A slot: one given back, else the next never used. The caller knows that there is one. */
static uint32_t ocmi_slot(ocmi_list *free_slots, uint32_t *top)
{
    uint32_t slot = free_slots->head;
    if (!slot) return ++*top;
    ocmi_unlink(free_slots, slot);
    return slot;
}

/* A number that nobody can predict, from a counter. */
static uint64_t ocmi_number(const ocm_registry *g, int key, uint64_t counter)
{
    uint8_t bytes[8];
    ocmi_store64(bytes, counter);
    return ocmi_hash(g->key[key], ocmi_view(bytes, sizeof bytes));
}

/* Spends one unit of a rate a second, with bursts of twice as many; 0 if none is left. *spent runs
   on the scale now * rate, where a unit is 1000: it begins there, and is ahead of it by what was
   spent lately. Wrapping does no harm. */
static int ocmi_spend(uint64_t *spent, uint64_t now, uint32_t rate)
{
    uint64_t at = now * rate;
    if (rate == OCM_UNLIMITED) return 1;
    if (*spent - at > UINT64_MAX / 2) *spent = at;
    if (*spent - at + 1000 > 2000u * (uint64_t)rate) return 0;
    *spent += 1000;
    return 1;
}

/* ==== 5. Registry: the log ==================================================================

   One ring of entries for all rooms. Adding one gives up the oldest, but never one that somebody
   who keeps up was not yet sent (seq > done): then the ring is full, and the new entry is
   refused like anything over the rate. */

static ocmi_entry *ocmi_entry_at(const ocm_registry *g, uint32_t unit)
{
    return (ocmi_entry *)(void *)(g->log + (size_t)unit * OCMI_UNIT);
}

static const uint8_t *ocmi_entry_json(const ocmi_entry *e)
{
    return (const uint8_t *)e + sizeof *e;
}

/* Entries of a room lie in sequence in the table. Where a room begins is secret, so that nobody can
   make chains long. A chain begins with its newest entry: those that were given up lie behind
   all that are held, where nobody looks, so they need not be taken out. */
static uint32_t *ocmi_entry_head(const ocm_registry *g, const ocmi_room *r, uint64_t seq)
{
    return &g->entries.head[(r->base + (uint32_t)seq) & g->entries.mask];
}

/* Entry seq of a room: one that the log holds, from r->first to r->seq. */
static const ocmi_entry *ocmi_entry_find(const ocm_registry *g, const ocmi_room *r, uint64_t seq)
{
    uint32_t at = *ocmi_entry_head(g, r, seq);
    const ocmi_entry *e;
    for (;; at = e->chain) {
        OCM_ASSERT(at != 0);
        e = ocmi_entry_at(g, at - 1);
        if (e->seq == seq && e->log == r->log) return e;
    }
}

/* Where the entry after the one at that unit begins: at its end, if any entry fits there. */
static uint32_t ocmi_log_after(const ocm_registry *g, uint32_t unit)
{
    const ocmi_entry *e = ocmi_entry_at(g, unit);
    unit += (uint32_t)(sizeof *e + e->json_len + OCMI_UNIT - 1) / OCMI_UNIT;
    return unit <= g->log_units - OCMI_ENTRY_MAX / OCMI_UNIT ? unit : 0;
}

/* Gives up the oldest entry of the whole log. 0 if somebody is still to be sent it. */
static int ocmi_log_evict(ocm_registry *g)
{
    const ocmi_entry *e = ocmi_entry_at(g, g->log_tail);
    ocmi_room *r = &g->room[e->room];
    if (r->log == e->log) {
        if (e->seq > r->done) return 0;
        r->first = e->seq + 1;
    }
    if (g->text_of == e) g->text_of = NULL;
    g->log_tail = ocmi_log_after(g, g->log_tail);
    return 1;
}

/* Makes room at the head for one entry of any size. 0 if the log is full of what is still to be
   sent, or 64 of the room's entries are. */
static int ocmi_log_ready(ocm_registry *g, const ocmi_room *r)
{
    if (r->seq - r->done >= OCMI_BEHIND) return 0;
    while (g->log_begun && g->log_tail >= g->log_head &&
           g->log_tail - g->log_head < OCMI_ENTRY_MAX / OCMI_UNIT)
        if (!ocmi_log_evict(g)) return 0;
    return 1;
}

/* A message in the text dialects. */
static void ocmi_put_words(ocmi_out *o, const ocm_message *m)
{
    ocmi_put_view(o, m->sender);
    ocmi_put_text(o, ": ");
    ocmi_put_view(o, m->text);
}

static void ocmi_room_probe_after(ocm_registry *g, uint32_t room)
{
    ocmi_to_end(&g->quiet, room);
    g->room[room].probe_at = g->now + OCMI_PROBE_MS;
}

/* Writes m as the room's next entry, with that id if it is not 0. After ocmi_log_ready it cannot
   fail. */
static void ocmi_log_add(ocm_registry *g, uint32_t room, uint32_t sender, ocm_message *m,
                         uint64_t id)
{
    ocmi_room *r = &g->room[room];
    ocmi_entry *e = ocmi_entry_at(g, g->log_head);
    ocmi_out o = ocmi_out_open((uint8_t *)e + sizeof *e, OCMI_ENTRY_MAX - sizeof *e);
    uint32_t *head = ocmi_entry_head(g, r, r->seq + 1);
    m->has |= OCM_HAS_SEQ;
    e->seq = m->seq = ++r->seq;
    e->room = room;
    e->log = r->log;
    e->sender = sender;
    ocmi_put_message(&o, m);
    e->plain_len = (uint16_t)--o.len; /* the id goes before the brace */
    if (id) ocmi_put_text(&o, ",\"id\":");
    if (id) ocmi_put_number(&o, id);
    ocmi_put_text(&o, "}\n");
    OCM_ASSERT(!o.full);
    e->json_len = (uint16_t)o.len;
    e->chain = *head;
    *head = g->log_head + 1;
    g->log_head = ocmi_log_after(g, g->log_head);
    g->log_begun = 1;
    r->probes = 0;
    ocmi_room_probe_after(g, room);
    ocmi_append(&g->pending, room);
}

/* ==== 5. Registry: rooms and members ========================================================

   A room is open until its host's membership ends, or the server stops. Then nobody finds it any
   more, and it lives on only until its last member has been told. A member is `in` until it has a
   reason; from then on nobody finds its token, and its slot waits until it has been told. Its name
   is free once the room has heard of its end. */

static uint64_t ocmi_table_hash(const ocm_registry *g, ocm_view text)
{
    return ocmi_hash(g->key[OCMI_KEY_TABLES], text);
}

static uint64_t ocmi_name_hash(const ocm_registry *g, uint32_t room, ocm_view name)
{
    return ocmi_table_hash(g, name) ^ (uint64_t)room * 0x9E3779B97F4A7C15u;
}

static ocm_view ocmi_token_view(const ocmi_member *m)
{
    return ocmi_view(m->token, OCM_TOKEN_LEN);
}

static void ocmi_token_make(const ocm_registry *g, uint8_t token[OCM_TOKEN_LEN], uint64_t serial)
{
    static const char hex[] = "0123456789abcdef";
    uint64_t half = 0;
    int i;
    for (i = 0; i < OCM_TOKEN_LEN; i++) {
        if (i % 16 == 0) half = ocmi_number(g, OCMI_KEY_TOKENS, 2 * serial + (i > 0));
        token[i] = (uint8_t)hex[half >> (4 * (i % 16)) & 15];
    }
}

static uint32_t ocmi_room_find(const ocm_registry *g, ocm_view name)
{
    uint32_t slot = *ocmi_table_at(&g->rooms, ocmi_table_hash(g, name));
    while (slot && !ocm_view_equal(ocmi_name_view(&g->room[slot].name), name))
        slot = g->room[slot].chain;
    return slot;
}

/* The member of that name, as the room knows it: it may be out, and that is not announced yet. */
static uint32_t ocmi_name_find(const ocm_registry *g, uint32_t room, ocm_view name)
{
    uint32_t slot = *ocmi_table_at(&g->names, ocmi_name_hash(g, room, name));
    for (; slot; slot = g->member[slot].name_chain) {
        const ocmi_member *m = &g->member[slot];
        if (m->room == room && !m->announced && ocm_view_equal(ocmi_name_view(&m->name), name))
            break;
    }
    return slot;
}

/* The member with that token in that room. The hash is keyed, so how long a comparison takes tells
   nothing: whoever changes a guess is led to another chain. */
static uint32_t ocmi_token_find(const ocm_registry *g, ocm_view token, ocm_view room)
{
    uint32_t slot = *ocmi_table_at(&g->tokens, ocmi_table_hash(g, token));
    while (slot && !ocm_view_equal(ocmi_token_view(&g->member[slot]), token))
        slot = g->member[slot].token_chain;
    return ocm_view_equal(ocmi_name_view(&g->room[g->member[slot].room].name), room) ? slot : 0;
}

/* The origin that limits count: loopback is one, an IPv4 address is one, an IPv6 /64 is one. If the
   first half of an address is zeros, it is an IPv4 address, which stands in the second half. */
static uint64_t ocmi_origin_key(const ocm_addr *a)
{
    uint64_t prefix = ocmi_load64(a->ip);
    if (ocmi_is_loopback(a->ip)) return 0;
    return prefix ? prefix : ocmi_load64(a->ip + 8);
}

/* The slot of an origin, made if need be from the one that has been without members longest. There
   are more slots than members, so one is always free. */
static uint32_t ocmi_origin_of(ocm_registry *g, const ocm_addr *a)
{
    uint64_t key = ocmi_origin_key(a), hash = ocmi_number(g, OCMI_KEY_TABLES, key);
    uint32_t slot;
    for (slot = *ocmi_table_at(&g->origins, hash); slot; slot = g->origin[slot].chain)
        if (g->origin[slot].key == key) return slot;
    if (g->origin_top < g->origin_count) {
        slot = ++g->origin_top;
    } else {
        slot = g->idle_origins.head;
        ocmi_unlink(&g->idle_origins, slot);
        ocmi_table_remove(&g->origins, ocmi_number(g, OCMI_KEY_TABLES, g->origin[slot].key), slot);
    }
    memset(&g->origin[slot], 0, sizeof g->origin[slot]);
    g->origin[slot].key = key;
    g->origin[slot].spent = g->now * g->limits.origin_joins;
    g->origin[slot].said = g->now * g->limits.rate * OCMI_ORIGIN_RATE;
    ocmi_table_add(&g->origins, hash, slot);
    ocmi_append(&g->idle_origins, slot);
    return slot;
}

/* The member counts towards the origin of that address: of its join or, later, of its return. */
static void ocmi_origin_add(ocm_registry *g, uint32_t slot, const ocm_addr *at)
{
    ocmi_member *m = &g->member[slot];
    m->origin = ocmi_origin_of(g, at);
    ocmi_unlink(&g->idle_origins, m->origin);
    g->origin[m->origin].members++;
    g->origin[m->origin].rooms += g->room[m->room].host == slot;
}

static void ocmi_origin_remove(ocm_registry *g, uint32_t slot)
{
    const ocmi_member *m = &g->member[slot];
    ocmi_origin *origin = &g->origin[m->origin];
    origin->rooms -= g->room[m->room].host == slot;
    if (--origin->members == 0) ocmi_append(&g->idle_origins, m->origin);
}

static uint32_t ocmi_room_open(ocm_registry *g, ocm_view name, ocm_view password)
{
    uint32_t slot = ocmi_slot(&g->rooms_free, &g->room_top);
    ocmi_room *r = &g->room[slot];
    uint64_t hash = ocmi_table_hash(g, name);
    memset(r, 0, sizeof *r);
    r->log = ocmi_number(g, OCMI_KEY_LOGS, ++g->serial) % OCM_INTEGER_MAX + 1;
    r->base = (uint32_t)ocmi_number(g, OCMI_KEY_TABLES, r->log);
    r->first = 1;
    r->open = 1;
    r->locked = password.len > 0;
    r->password = ocmi_hash(g->key[OCMI_KEY_PASSWORDS], password);
    ocmi_name_set(&r->name, name);
    OCMI_LIST_OPEN(&r->members, g->member, in_room);
    ocmi_table_add(&g->rooms, hash, slot);
    ocmi_append(&g->open, slot);
    g->counts.rooms++;
    return slot;
}

/* Notes a sign of life. A member of level 1 that was never heard times out sooner. All members of
   a list wait equally long, so they time out in the order of the list. */
static void ocmi_alive(ocm_registry *g, uint32_t slot, int heard)
{
    ocmi_member *m = &g->member[slot];
    ocmi_unlink(&g->alive[m->heard], slot);
    m->heard = (uint8_t)heard;
    m->expires = g->now + (heard ? (uint64_t)g->limits.idle * 1000 : OCMI_FRESH_MS);
    ocmi_append(&g->alive[heard], slot);
}

/* The room's log tells that a member came or went. Needs ocmi_log_ready. */
static void ocmi_tell(ocm_registry *g, uint32_t slot, int operation, const char *rest)
{
    uint8_t words[OCM_NAME_MAX + 64];
    ocmi_member *m = &g->member[slot];
    ocmi_out o = ocmi_out_open(words, sizeof words);
    ocm_message n = ocmi_system(operation, OCM_HAS_USERNAME | OCM_HAS_TEXT);
    ocmi_put_view(&o, ocmi_name_view(&m->name));
    ocmi_put_text(&o, rest);
    n.username = ocmi_name_view(&m->name);
    n.text = ocmi_view(words, o.len);
    ocmi_log_add(g, m->room, 0, &n, 0);
}

/* A new member of a room. Its own notice is in the log; its answer tells it, so its cursor begins
   behind that. Needs ocmi_admits. */
static uint32_t ocmi_member_add(ocm_registry *g, uint32_t room, const ocm_request *q,
                                const ocm_addr *at)
{
    uint32_t slot = ocmi_slot(&g->members_free, &g->member_top);
    ocmi_member *m = &g->member[slot];
    ocmi_room *r = &g->room[room];
    memset(m, 0, sizeof *m);
    m->addr = *at;
    m->room = room;
    m->stop = UINT64_MAX;
    m->dialect = (uint8_t)q->dialect;
    m->level = q->dialect == OCM_DIALECT_JSON && q->level > 0;
    ocmi_name_set(&m->name, q->name);
    m->serial = ++g->serial;
    m->spent = g->now * g->limits.rate;
    ocmi_token_make(g, m->token, m->serial);
    ocmi_table_add(&g->tokens, ocmi_table_hash(g, ocmi_token_view(m)), slot);
    ocmi_table_add(&g->names, ocmi_name_hash(g, room, q->name), slot);
    ocmi_alive(g, slot, !m->level);
    ocmi_append(&r->members, slot);
    if (!r->host) r->host = slot;
    ocmi_origin_add(g, slot, at);
    r->size++;
    g->counts.members++;
    ocmi_tell(g, slot, OCM_OP_JOINED, " joined");
    m->sent = r->seq;
    return slot;
}

/* From now on nothing that it sends counts. It still gets its reason, and before that what the log
   holds, as far as it is not paused: else a few bytes would bring the whole log. */
static void ocmi_member_out(ocm_registry *g, uint32_t slot, int reason)
{
    ocmi_member *m = &g->member[slot];
    m->reason = (uint8_t)reason;
    if (m->stop > g->room[m->room].seq) m->stop = g->room[m->room].seq;
    m->status = m->notice = 0;
    ocmi_table_remove(&g->tokens, ocmi_table_hash(g, ocmi_token_view(m)), slot);
    ocmi_unlink(&g->alive[m->heard], slot);
    ocmi_origin_remove(g, slot);
    g->room[m->room].size--;
    g->counts.members--;
}

/* From now on nobody finds the room, and a new one may have its name. A pass under way starts
   over: now it tells every member, and frees it. */
static void ocmi_room_close(ocm_registry *g, uint32_t room, int reason)
{
    ocmi_room *r = &g->room[room];
    uint32_t slot;
    for (slot = r->members.head; slot; slot = g->member[slot].in_room.next) {
        if (!g->member[slot].reason) ocmi_member_out(g, slot, reason);
        ocmi_unlink(&g->due, slot);
    }
    r->open = 0;
    r->cursor = r->members.head;
    ocmi_table_remove(&g->rooms, ocmi_table_hash(g, ocmi_name_view(&r->name)), room);
    ocmi_unlink(&g->open, room);
    ocmi_unlink(&g->quiet, room);
    g->counts.rooms--;
    ocmi_append(&g->pending, room);
}

/* Ends a membership; the host's ends the room's. */
static void ocmi_member_end(ocm_registry *g, uint32_t slot, int reason)
{
    uint32_t room = g->member[slot].room;
    ocmi_member_out(g, slot, reason);
    if (g->room[room].host == slot) ocmi_room_close(g, room, OCM_REASON_HOST);
    else ocmi_append(&g->due, slot);
}

/* It has been told: its slot may be used again, and the last one ends the room. What the slots hold
   stays until then, as an event may point there. */
static void ocmi_member_free(ocm_registry *g, uint32_t slot)
{
    ocmi_member *m = &g->member[slot];
    uint32_t room = m->room;
    ocmi_room *r = &g->room[room];
    if (r->cursor == slot) r->cursor = m->in_room.next;
    ocmi_table_remove(&g->names, ocmi_name_hash(g, room, ocmi_name_view(&m->name)), slot);
    ocmi_unlink(&g->due, slot);
    ocmi_unlink(&r->members, slot);
    ocmi_append(&g->members_free, slot);
    if (r->members.head) return;
    r->log = 0; /* what the log still holds of the room belongs to nobody */
    ocmi_unlink(&g->pending, room);
    ocmi_append(&g->rooms_free, room);
}

/* ==== 5. Registry: datagrams and time =======================================================

   A message is written to the log. Whatever concerns one member alone (a status, a notice) is noted
   at the member, which is put into the queue `due`. */

enum { OCMI_TOO_LONG = 1, OCMI_NO_TEXT, OCMI_TOO_FAST, OCMI_EMPTY }; /* a member's notice */

/* Spends a unit of a member's rate, and of its origin's: otherwise a room, and the log of all
   rooms, would belong to whoever brings the most members. Loopback has no rate of its own. */
static int ocmi_pay(ocm_registry *g, ocmi_member *m)
{
    ocmi_origin *origin = &g->origin[m->origin];
    uint32_t rate = g->limits.rate;
    if (!ocmi_spend(&m->spent, g->now, rate)) return 0;
    if (origin->key == 0 || rate > OCM_UNLIMITED / OCMI_ORIGIN_RATE) return 1;
    if (ocmi_spend(&origin->said, g->now, rate * OCMI_ORIGIN_RATE)) return 1;
    m->spent -= 1000; /* what is not taken costs nothing */
    return 0;
}

static void ocmi_owe_status(ocm_registry *g, uint32_t slot)
{
    if (!g->member[slot].level) return;
    g->member[slot].status = 1;
    ocmi_append(&g->due, slot);
}

/* Tells the sender, at most once a second, that its message was rejected; but a member of level 1
   repeats what came too fast. */
static void ocmi_reject(ocm_registry *g, uint32_t slot, int notice, uint64_t id)
{
    ocmi_member *m = &g->member[slot];
    g->counts.rejected++;
    if (g->now < m->told || (m->level && notice == OCMI_TOO_FAST)) return;
    m->told = g->now + 1000;
    m->notice = (uint8_t)notice;
    m->rejected = id;
    ocmi_append(&g->due, slot);
}

/* Takes one message; id 0 if it has none. 0 if there is no place for it now. */
static int ocmi_say(ocm_registry *g, uint32_t slot, ocm_view text, uint64_t id)
{
    ocmi_member *m = &g->member[slot];
    ocmi_room *r = &g->room[m->room];
    ocmi_scan scan = ocmi_text_scan(text);
    size_t len = r->name.len + ocmi_escaped_len(ocmi_name_view(&m->name), 0) + text.len +
                 scan.escapes;
    int notice = !scan.valid || scan.controls ? OCMI_NO_TEXT : len > OCM_TEXT_MAX ? OCMI_TOO_LONG
               : text.len == 0 ? OCMI_EMPTY : 0;
    ocm_message n;
    if (!notice && !ocmi_log_ready(g, r)) {
        ocmi_reject(g, slot, OCMI_TOO_FAST, 0);
        return 0;
    }
    if (id) m->taken = id;
    if (notice) {
        ocmi_reject(g, slot, notice, id);
        ocmi_owe_status(g, slot);
        return 1;
    }
    n.has = OCM_HAS_SENDER | OCM_HAS_TEXT;
    n.sender = ocmi_name_view(&m->name);
    n.text = text;
    ocmi_log_add(g, m->room, slot, &n, id);
    g->counts.messages++;
    return 1;
}

/* A member of level 1 says how far it has the log: its cursor goes there. If more follows than 64
   entries or 64 KiB, it is sent that many and then paused until its next position. Each batch after
   the first costs as much as a datagram, and without that the pause begins sooner. Otherwise 70
   bytes would bring 64 KiB, 50 times a second: a position may be a lie. */
static void ocmi_position(ocm_registry *g, uint32_t slot, uint64_t seq)
{
    ocmi_member *m = &g->member[slot];
    const ocmi_room *r = &g->room[m->room];
    uint64_t at, bytes = 0, paid = 0;
    ocmi_owe_status(g, slot);
    if (seq < m->position) return;
    if (seq > r->seq) seq = r->seq;
    m->position = seq;
    m->sent = seq < r->first - 1 ? r->first - 1 : seq;
    m->stop = UINT64_MAX;
    for (at = m->sent; at < r->seq && at - m->sent < OCMI_BEHIND; at++) {
        bytes += ocmi_entry_find(g, r, at + 1)->json_len;
        if (at == m->sent) paid = bytes + OCM_BATCH_MAX; /* one entry in any case */
        if (bytes > 65536) break;
        if (bytes <= paid) continue;
        if (!ocmi_pay(g, m)) break;
        paid += OCM_BATCH_MAX;
    }
    if (at < r->seq) m->stop = at;
}

/* What one datagram has brought so far. */
typedef struct ocmi_hearing {
    int over;          /* nothing more is taken from it: over the rate, or no place */
    int messages;      /* that were the next in turn */
    uint64_t position; /* the last one that it gives; UINT64_MAX: none */
} ocmi_hearing;

/* One object from a member, or one message in the text dialects. 0 if it leaves. */
static int ocmi_hear(ocm_registry *g, uint32_t slot, ocm_view object, ocmi_hearing *h)
{
    uint8_t scratch[OCM_DATAGRAM_MAX];
    ocmi_member *m = &g->member[slot];
    int json = m->dialect == OCM_DIALECT_JSON, good = 1, command;
    ocm_message n;
    memset(&n, 0, sizeof n);
    n.text = object;
    if (json) good = ocm_message_decode(object, scratch, &n) > 0;
    if (!m->level) n.id = 0;
    command = good && ocmi_is_system(&n) && n.has & OCM_HAS_OPERATION;
    if (command && n.operation == OCM_OP_LEFT) return 0;
    if (!json && ocm_view_equal(object, ocm_text("[remove_chatroom]"))) return 0;
    if (h->over) return 1;
    if (!good) {
        ocmi_reject(g, slot, OCMI_NO_TEXT, 0);
    } else if (command) {
        if (!m->level || n.operation != OCM_OP_LOG || n.has & OCM_HAS_FIRST) return 1;
        if (n.has & OCM_HAS_SEQ) h->position = n.seq;
    } else if (n.has & OCM_HAS_SEQ) {
        return 1; /* a server's: it is not to be made to talk to another, or to itself */
    } else if (n.id ? n.id <= m->taken : !n.text.len) { /* repeated, or empty */
        ocmi_owe_status(g, slot);
    } else if (n.id <= m->taken + 1) { /* the next, or without id; a higher one is dropped */
        if (++h->messages > 1) h->over = !ocmi_pay(g, m);
        if (!h->over) h->over = !ocmi_say(g, slot, n.text, n.id);
    }
    return 1;
}

OCM_API int ocm_registry_datagram(ocm_registry *g, const uint8_t *p, size_t len,
                                  const ocm_addr *from, uint64_t now)
{
    ocmi_hearing h = {0, 0, UINT64_MAX};
    uint32_t slot = 0;
    int stays = 1;
    ocmi_member *m;
    ocm_datagram d;
    ocm_view line;
    ocmi_tick(g, now);
    g->counts.datagrams++;
    if (ocm_datagram_decode(p, len, &d) > 0) slot = ocmi_token_find(g, d.token, d.room);
    m = &g->member[slot];
    if (!slot || !ocm_same_host(from, &m->addr)) {
        g->counts.dropped++;
        return 0;
    }
    m->addr = *from;
    ocmi_alive(g, slot, 1);
    h.over = !ocmi_pay(g, m);
    if (len > OCM_DATAGRAM_MAX) {
        if (!h.over) ocmi_reject(g, slot, OCMI_TOO_LONG, 0);
    } else if (d.payload.len == 0) {
        if (!h.over) ocmi_owe_status(g, slot);
    } else {
        if (h.over) ocmi_reject(g, slot, OCMI_TOO_FAST, 0);
        if (!m->level) stays = ocmi_hear(g, slot, d.payload, &h);
        else
            while (stays && ocmi_line_next(&d.payload, &line))
                stays = ocmi_hear(g, slot, line, &h);
        if (!stays) ocmi_member_end(g, slot, OCM_REASON_LEFT);
        else if (h.position < UINT64_MAX) ocmi_position(g, slot, h.position);
    }
    return 1;
}

/* Three in a row are three events of a member with no other between them. */
OCM_API void ocm_registry_failed(ocm_registry *g, const ocm_event *ev, uint64_t now)
{
    ocmi_member *m;
    ocmi_tick(g, now);
    OCM_ASSERT(ev->member >= 1 && ev->member <= g->member_top);
    m = &g->member[ev->member];
    if (m->serial != ev->serial || m->reason) return;
    if (ev->number != (uint16_t)(m->failed + 1u)) m->failures = 0;
    if (m->failures == 0) m->failed_at = (uint32_t)now;
    m->failed = (uint16_t)ev->number;
    if (m->failures < 3) m->failures++;
    if (m->failures == 3 && (uint32_t)now - m->failed_at >= OCMI_UNREACHABLE_MS)
        ocmi_member_end(g, ev->member, OCM_REASON_UNREACHABLE);
}

OCM_API void ocm_registry_stop(ocm_registry *g)
{
    OCM_ASSERT(g->magic == OCMI_MAGIC);
    while (g->open.head) ocmi_room_close(g, g->open.head, OCM_REASON_STOPPING);
}

/* ==== 5. Registry: delivery =================================================================

   Two queues hold what is to be sent; ocm_registry_next takes from them until they are empty.

   pending  Open rooms whose log has grown since the last fan-out pass began, and closed rooms. A
            pass goes once through the room's members and brings each up to date; the room's `done`
            is then what the log was when the pass began. After OCMI_TURN datagrams the next room
            has its turn.
   due      Members with something for them alone: entries after a position that went back, a
            status, a notice, the end, of which the room hears first. A member leaves the queue
            when nothing of that is left.

   They take turns. Nothing here allocates or copies more than one datagram. */

/* Besides the public reasons: its answer did not get out, so it was never told, and is not told
   that it is out. */
#define OCMI_REASON_BROKEN (OCM_REASON_STOPPING + 1)

/* A reason as programs, its member, and the others read it. */
static const struct { const char *key, *words, *left; } ocmi_reasons[] = {
    {"", "", ""},
    {"left", "you left", " left"},
    {"host", "the host left", " left"},
    {"timeout", "timed out", " left: timed out"},
    {"unreachable", "you could not be reached", " left: could not be reached"},
    {"stopping", "the server is stopping", " left"},
    {"", "", " left: the connection broke"},
};

/* Begins a datagram to a member: with the header, in the dialects that have one. */
static ocmi_out ocmi_event_open(ocm_registry *g, const ocmi_member *m)
{
    ocmi_out o = ocmi_out_open(g->out, sizeof g->out);
    if (m->dialect != OCM_DIALECT_TEXT)
        ocmi_put_datagram_head(&o, ocmi_name_view(&g->room[m->room].name),
                               ocmi_token_view(m));
    return o;
}

static int ocmi_event_close(ocm_registry *g, uint32_t slot, const ocmi_out *o, ocm_event *ev)
{
    ocmi_member *m = &g->member[slot];
    OCM_ASSERT(!o->full);
    ev->to = m->addr;
    ev->datagram = ocmi_view(g->out, o->len);
    ev->reason = OCM_REASON_NONE;
    ev->member = slot;
    ev->serial = m->serial;
    ev->number = ++m->events;
    g->counts.events++;
    return 1;
}

/* An entry as its reader's dialect has it. The words of the text dialects are the same for all
   their members, so they are kept for the next one. */
static void ocmi_put_entry(ocm_registry *g, ocmi_out *o, const ocmi_member *m, const ocmi_entry *e)
{
    uint8_t scratch[OCMI_ENTRY_MAX];
    if (m->dialect == OCM_DIALECT_JSON) {
        ocmi_put(o, ocmi_entry_json(e), m->level ? e->json_len : e->plain_len);
        if (!m->level) ocmi_put_byte(o, '}');
        return;
    }
    if (g->text_of != e) {
        ocmi_out words = ocmi_out_open(g->text, sizeof g->text);
        ocm_message n;
        ocm_message_decode(ocmi_view(ocmi_entry_json(e), e->json_len), scratch, &n);
        ocmi_put_words(&words, &n);
        OCM_ASSERT(!words.full);
        g->text_of = e;
        g->text_len = words.len;
    }
    ocmi_put(o, g->text, g->text_len);
}

/* A message from the server to this member alone, in its dialect. 0 if it is to wait for the next
   datagram. */
static int ocmi_put_private(ocmi_out *o, size_t head, const ocmi_member *m, const ocm_message *n)
{
    if (m->level) return ocmi_put_line(o, head, n);
    if (o->len > head) return 0;
    if (m->dialect == OCM_DIALECT_JSON) ocmi_put_message(o, n);
    else ocmi_put_words(o, n);
    return 1;
}

/* The notice and the status that a member is to have. */
static void ocmi_put_owed(const ocm_registry *g, ocmi_out *o, size_t head, ocmi_member *m)
{
    static const char *const words[] = {
        "", "your message was not sent: it is too long",
        "your message was not sent: it is not text",
        "your message was not sent: you send too fast",
        "your message was not sent: it is empty"};
    ocm_message n = ocmi_system(OCM_OP_NOTICE, OCM_HAS_USERNAME | OCM_HAS_TEXT);
    if (m->notice) {
        n.username = ocmi_name_view(&m->name);
        n.text = ocm_text(words[m->notice]);
        n.id = m->rejected;
        if (n.id) n.has |= OCM_HAS_ID;
        if (!ocmi_put_private(o, head, m, &n)) return;
        m->notice = 0;
    }
    if (m->status) {
        n = ocmi_system(OCM_OP_LOG, OCM_HAS_SEQ | OCM_HAS_FIRST | OCM_HAS_ID);
        n.seq = g->room[m->room].seq;
        n.first = g->room[m->room].first;
        n.id = m->taken;
        if (ocmi_put_private(o, head, m, &n)) m->status = 0;
    }
}

/* What there is for a member: at level 1 as much of the log as fits one datagram, else the next
   entry that it did not say itself; and at the end of the log whatever is for it alone. A full
   datagram is filled up with empty lines, so that full ones are equally long, and a system may send
   several in one call. */
static int ocmi_send(ocm_registry *g, uint32_t slot, ocm_event *ev)
{
    ocmi_member *m = &g->member[slot];
    const ocmi_room *r = &g->room[m->room];
    uint64_t last = m->stop < r->seq ? m->stop : r->seq;
    ocmi_out o;
    size_t head;
    if (m->sent < r->first - 1) m->sent = r->first - 1; /* the log holds no more */
    if (m->sent >= last && !m->notice && !m->status) return 0;
    o = ocmi_event_open(g, m);
    head = o.len;
    for (; m->sent < last; m->sent++) {
        const ocmi_entry *e = ocmi_entry_find(g, r, m->sent + 1);
        if (o.len > head && (!m->level || o.len + e->json_len > OCM_BATCH_MAX)) break;
        if (m->level || e->sender != slot) ocmi_put_entry(g, &o, m, e);
    }
    if (m->level && m->sent < last && o.len < OCM_BATCH_MAX) {
        memset(o.ptr + o.len, '\n', OCM_BATCH_MAX - o.len);
        o.len = OCM_BATCH_MAX;
    }
    if (m->sent >= last && (m->notice || m->status)) ocmi_put_owed(g, &o, head, m);
    return o.len > head ? ocmi_event_close(g, slot, &o, ev) : 0;
}

/* The last datagram of a membership. One whose answer did not get out is not told of its end. If
   the room is closed, nobody can ask for its log any more: so what the member has not confirmed of
   its end, up to the cursor, comes before the reason, as much as fits. */
static int ocmi_send_removed(ocm_registry *g, uint32_t slot, ocm_event *ev)
{
    ocmi_member *m = &g->member[slot];
    const ocmi_room *r = &g->room[m->room];
    int reason = m->reason;
    uint64_t seq = m->sent;
    uint8_t words[128];
    size_t head, len;
    ocmi_out o = ocmi_out_open(words, sizeof words);
    ocm_message n = ocmi_system(OCM_OP_REMOVED, OCM_HAS_USERNAME | OCM_HAS_REASON | OCM_HAS_TEXT);
    ocmi_put_text(&o, "You have been disconnected: ");
    ocmi_put_text(&o, ocmi_reasons[reason].words);
    n.username = ocmi_name_view(&m->name);
    n.reason = ocm_text(ocmi_reasons[reason].key);
    n.text = ocmi_view(words, o.len);
    o = ocmi_event_open(g, m);
    head = o.len;
    len = head + OCMI_REMOVED_MAX;
    if (m->level && !r->open)
        while (seq > m->position && seq >= r->first &&
               (len += ocmi_entry_find(g, r, seq)->json_len) <= OCM_BATCH_MAX)
            seq--;
    while (seq < m->sent) ocmi_put_entry(g, &o, m, ocmi_entry_find(g, r, ++seq));
    ocmi_put_private(&o, head, m, &n);
    if (reason != OCMI_REASON_BROKEN) ocmi_event_close(g, slot, &o, ev);
    ev->reason = reason;
    ev->room = ocmi_name_view(&r->name);
    ev->name = ocmi_name_view(&m->name);
    ocmi_member_free(g, slot);
    return reason != OCMI_REASON_BROKEN;
}

/* The turn of the room at the head of `pending`. */
static int ocmi_pending_next(ocm_registry *g, ocm_event *ev)
{
    uint32_t room = g->pending.head;
    ocmi_room *r = &g->room[room];
    if (!r->cursor) {
        r->cursor = r->members.head;
        r->pass = r->seq;
    }
    while (r->cursor) {
        uint32_t slot = r->cursor;
        const ocmi_member *m = &g->member[slot];
        int sent = ocmi_send(g, slot, ev);
        if (!r->open) {
            if (sent || ocmi_send_removed(g, slot, ev)) return 1; /* the latter moves the cursor */
        } else if (!sent || (m->sent >= r->seq && m->in_room.next)) {
            r->cursor = m->in_room.next; /* 0 ends the pass: so the last one must have it all */
        }
        if (sent) return 1;
    }
    r->done = r->pass;
    if (r->done == r->seq) ocmi_unlink(&g->pending, room);
    return 0;
}

/* The room hears that a membership has ended. 0 if its log has no place now. */
static int ocmi_announce(ocm_registry *g, uint32_t slot)
{
    ocmi_member *m = &g->member[slot];
    if (!ocmi_log_ready(g, &g->room[m->room])) return 0;
    ocmi_tell(g, slot, OCM_OP_LEFT, ocmi_reasons[m->reason].left);
    m->announced = 1;
    return 1;
}

/* The turn of the member at the head of `due`. */
static int ocmi_due_next(ocm_registry *g, ocm_event *ev)
{
    uint32_t slot = g->due.head;
    const ocmi_member *m = &g->member[slot];
    if (m->reason && !m->announced && !ocmi_announce(g, slot)) {
        ocmi_to_end(&g->due, slot); /* a pass frees space: some room is pending */
        return 0;
    }
    if (ocmi_send(g, slot, ev)) return 1;
    if (m->reason) return ocmi_send_removed(g, slot, ev);
    ocmi_unlink(&g->due, slot);
    return 0;
}

/* A quiet room: whoever has not said that it has all of the log may have lost the last of it. */
static void ocmi_probe(ocm_registry *g, uint32_t room)
{
    ocmi_room *r = &g->room[room];
    uint32_t slot;
    int needed = 0;
    for (slot = r->members.head; slot; slot = g->member[slot].in_room.next) {
        const ocmi_member *m = &g->member[slot];
        if (!m->level || m->reason || m->position == r->seq) continue;
        ocmi_owe_status(g, slot);
        needed = 1;
    }
    ocmi_unlink(&g->quiet, room);
    if (needed && ++r->probes < OCMI_PROBES) ocmi_room_probe_after(g, room);
}

/* Does what time asks for, and returns when there is more to do. */
static uint64_t ocmi_pass_time(ocm_registry *g)
{
    uint64_t until = UINT64_MAX;
    int i;
    for (i = 0; i < 2; i++) {
        const ocmi_list *l = &g->alive[i];
        while (l->head && g->member[l->head].expires <= g->now)
            ocmi_member_end(g, l->head, OCM_REASON_TIMEOUT);
        if (l->head && g->member[l->head].expires < until) until = g->member[l->head].expires;
    }
    while (g->quiet.head && g->room[g->quiet.head].probe_at <= g->now) ocmi_probe(g, g->quiet.head);
    if (g->quiet.head && g->room[g->quiet.head].probe_at < until)
        until = g->room[g->quiet.head].probe_at;
    return until;
}

OCM_API int ocm_registry_next(ocm_registry *g, uint64_t now, ocm_event *ev)
{
    uint64_t until = 0;
    OCM_ASSERT(ev != NULL);
    ocmi_tick(g, now);
    for (;;) {
        int due, sent;
        ocmi_list *queue;
        if (g->turn == 0) until = ocmi_pass_time(g);
        due = g->due.head && (g->due_turn || !g->pending.head);
        queue = due ? &g->due : &g->pending;
        if (!queue->head && g->turn == 0) break;
        sent = queue->head && (due ? ocmi_due_next(g, ev) : ocmi_pending_next(g, ev));
        if (sent && ++g->turn < OCMI_TURN) return 1;
        if (sent && queue->head) ocmi_to_end(queue, queue->head);
        g->turn = 0;
        g->due_turn = !due;
        if (sent) return 1;
    }
    memset(ev, 0, sizeof *ev);
    ev->until = until;
    return 0;
}

/* ==== 5. Registry: requests =================================================================

   What a connection's request is answered: ocmi_decide says it. */

enum { OCMI_CREATED, OCMI_JOINED, OCMI_LISTED, OCMI_MALFORMED, OCMI_PASSWORD, OCMI_NO_ROOM,
       OCMI_EXISTS, OCMI_TAKEN, OCMI_TOO_LARGE, OCMI_FULL, OCMI_NOT_YET };

/* One decision, as each dialect says it; what waits for its turn is not decided yet. */
static const struct { int status, text, team_a; const char *words; } ocmi_decisions[] = {
    {201, 0, 200, "created"},
    {200, 0, 200, "joined"},
    {200, 0, 200, "listed"},
    {400, 4, 400, "malformed request, or not a name"},
    {401, 3, 400, "wrong password"},
    {404, 2, 404, "no such room"},
    {409, 1, 400, "the room exists already"},
    {409, 6, 400, "the user name is taken in this room"},
    {413, 4, 400, "the payload is too large"},
    {503, 5, 400, "the server is full"},
};

/* The payload of the state-2 answer. slot: the member that it is about, 0 for a refusal. */
static void ocmi_put_outcome(const ocm_registry *g, ocmi_out *o, int dialect, int decision,
                             uint32_t slot)
{
    const ocmi_member *m = &g->member[slot];
    unsigned has = 1u << 0 | 1u << 2; /* status, message */
    ocm_outcome a;
    memset(&a, 0, sizeof a);
    a.status = (uint64_t)ocmi_decisions[decision].status;
    a.why = ocm_text(ocmi_decisions[decision].words);
    a.level = 1;
    a.idle = g->limits.idle;
    a.seq = g->room[m->room].seq;
    a.log = g->room[m->room].log;
    if (slot) {
        a.token = ocmi_token_view(m);
        has |= 1u << 3 | (m->level ? 15u << 5 : 0); /* token; ocm, idle, seq, log */
    }
    if (dialect == OCM_DIALECT_TEAM_A) {
        a.status = (uint64_t)ocmi_decisions[decision].team_a;
        has = 1u << 1 | 1u << 4; /* status_code, user_token */
    }
    if (dialect != OCM_DIALECT_TEXT) {
        ocmi_put_object(o, ocmi_outcome_fields, 9, &a, has);
    } else {
        ocmi_put_text(o, slot ? "" : "error: ");
        ocmi_put_view(o, slot ? a.token : a.why);
    }
}

static int ocmi_password_fits(const ocm_registry *g, const ocmi_room *r, ocm_view password)
{
    return !r->locked || ocmi_hash(g->key[OCMI_KEY_PASSWORDS], password) == r->password;
}

/* A list of all rooms (room 0), or of a room's members, for whoever knows the password. If it is
   too long it ends with the last line after which there was still space to say so. */
static void ocmi_put_list(const ocm_registry *g, uint32_t room, ocm_view password, ocmi_out *o)
{
    static const char more[] = "{\"more\":true}\n";
    uint32_t slot = room ? g->room[room].members.head : g->open.head;
    size_t cut = 0;
    if (!ocmi_password_fits(g, &g->room[room], password)) return;
    for (; slot; slot = room ? g->member[slot].in_room.next : g->room[slot].all.next) {
        ocm_listed l;
        memset(&l, 0, sizeof l);
        if (o->len + sizeof more - 1 <= o->cap) cut = o->len;
        if (room) {
            if (g->member[slot].reason) continue;
            l.username = ocmi_name_view(&g->member[slot].name);
            l.host = g->room[room].host == slot;
        } else {
            l.room = ocmi_name_view(&g->room[slot].name);
            l.size = g->room[slot].size;
            l.password = g->room[slot].locked;
        }
        ocmi_put_object(o, ocmi_listed_fields, 6, &l, room ? 8 | 16 : 1 | 2 | 4);
        ocmi_put_byte(o, '\n');
        if (o->full) break;
    }
    if (!o->full) return;
    o->full = 0;
    o->len = cut;
    ocmi_put_text(o, more);
}

/* Tries a room's password: 1 if it fits, 0 if not, -1 if it is to be tried later, at io->until. For
   a minute after a wrong one, requests of that origin for that room take turns, one a second. If
   the table is full, the entry goes whose minute ends first. An origin that has many entries gets
   one for all rooms: otherwise it could push out its own. */
static int ocmi_password_try(ocm_conn *c, ocm_registry *g, const ocmi_room *r, ocm_view password,
                             ocm_io *io)
{
    uint64_t origin = ocmi_origin_key(&c->from);
    uint64_t room = ocmi_table_hash(g, ocmi_name_view(&r->name));
    ocmi_guess *found = NULL, *oldest = g->guess, *e;
    int count = 0;
    if (!r->locked) return 1;
    for (e = g->guess; e < g->guess + OCMI_GUESSES; e++) {
        if (e->until < oldest->until) oldest = e;
        if (e->origin != origin || e->until <= g->now) continue;
        count++;
        if (e->room == room || e->room == 0) found = e;
    }
    if (found && !c->turn) {
        c->turn = found->next > g->now ? found->next : g->now;
        found->next = c->turn + 1000;
    }
    if (found && c->turn > g->now) {
        io->until = c->turn < found->until ? c->turn : found->until;
        return -1;
    }
    if (ocmi_password_fits(g, r, password)) return 1;
    if (!found) {
        found = oldest;
        found->origin = origin;
        found->room = count < OCMI_GUESS_SHARE ? room : 0;
        found->next = 0;
    }
    if (found->next < g->now + 1000) found->next = g->now + 1000;
    found->until = g->now + 60000;
    return 0;
}

/* Whether an origin has a place for one more member, which is a host or not: it has as large a
   share of the rooms as of the members. A member that comes back to one that has none stays
   counted where it was: or else two addresses could pass all places from one to the other. */
static int ocmi_origin_fits(ocm_registry *g, const ocm_addr *at, int host)
{
    const ocmi_origin *o = &g->origin[ocmi_origin_of(g, at)];
    const ocm_limits *l = &g->limits;
    if (ocmi_is_loopback(at->ip)) return 1;
    if (host && (uint64_t)o->rooms * l->members >= (uint64_t)l->rooms * l->origin_size) return 0;
    return o->members < l->origin_size;
}

/* Whether there is a place for a new member: in the log, in its room, in all, for its origin. Room
   0 is to be made. */
static int ocmi_admits(ocm_registry *g, uint32_t room, const ocm_addr *from)
{
    ocmi_origin *origin = &g->origin[ocmi_origin_of(g, from)];
    const ocm_limits *l = &g->limits;
    if (!room && !g->rooms_free.head && g->room_top == l->rooms) return 0;
    if (!g->members_free.head && g->member_top == l->members) return 0;
    if (g->room[room].size >= l->room_size) return 0;
    if (!ocmi_log_ready(g, &g->room[room])) return 0;
    if (ocmi_is_loopback(from->ip)) return 1;
    return ocmi_origin_fits(g, from, !room) && ocmi_spend(&origin->spent, g->now, l->origin_joins);
}

/* Decides a well-formed request. c->member is then the member that it has made, or that came
   back with its token; such a member needs the password only from another address. */
static int ocmi_decide(ocm_conn *c, ocm_registry *g, const ocm_request *q, ocm_io *io)
{
    int create = q->op == OCM_CREATE, tried = 1;
    uint32_t room = ocmi_room_find(g, q->room), place, named;
    const ocmi_room *r = &g->room[room]; /* room 0 has no password and no members */
    if (create && room) return OCMI_EXISTS;
    if (!create && !room && q->room.len) return OCMI_NO_ROOM;
    if (q->op == OCM_LIST) {
        if (q->password.len) tried = ocmi_password_try(c, g, r, q->password, io);
        return tried < 0 ? OCMI_NOT_YET : OCMI_LISTED;
    }
    place = q->level ? ocmi_token_find(g, q->token, q->room) : 0;
    if (!g->member[place].level || !ocm_view_equal(ocmi_name_view(&g->member[place].name), q->name))
        place = 0;
    if (!place || !ocm_same_host(&c->from, &g->member[place].addr))
        tried = ocmi_password_try(c, g, r, q->password, io);
    if (tried <= 0) return tried < 0 ? OCMI_NOT_YET : OCMI_PASSWORD;
    c->kept = place != 0;
    c->member = place;
    if (place) return OCMI_JOINED;
    named = ocmi_name_find(g, room, q->name);
    if (named && !g->member[named].reason) return OCMI_TAKEN;
    /* The room hears that somebody left before it hears that the name is back. */
    if ((named && !ocmi_announce(g, named)) || !ocmi_admits(g, room, &c->at)) return OCMI_FULL;
    if (create) room = ocmi_room_open(g, q->room, q->password);
    c->member = ocmi_member_add(g, room, q, &c->at);
    return create ? OCMI_CREATED : OCMI_JOINED;
}

/* ==== 6. Connection =========================================================================

   A connection reads a request, may have to wait for its turn, answers, and reads the next one.
   After it has made a member it answers nothing more. After a request too large it lingers, because
   closing at once would reset the connection and lose the answer. */

enum { OCMI_READING, OCMI_ANSWERING, OCMI_SERVED, OCMI_LINGERING, OCMI_CLOSED };

#define OCMI_CONN_SILENCE_MS 300000u /* before and between requests */
#define OCMI_REQUEST_MS 10000u  /* for a request that has begun, and for an answer to be taken */
#define OCMI_LINGER_MS 1000u
#define OCMI_PAUSE_MS 100u      /* between the frames of an answer: in the text dialects a program
                                   takes whatever one recv() returns for one frame */

OCM_API void ocm_conn_open(ocm_conn *c, const ocm_addr *from, uint64_t now)
{
    memset(c, 0, offsetof(ocm_conn, in));
    c->from = *from;
    c->phase = OCMI_READING;
    c->deadline = now + OCMI_CONN_SILENCE_MS;
}

OCM_API void ocm_conn_received(ocm_conn *c, const uint8_t *p, size_t len, uint64_t now)
{
    OCM_ASSERT(len <= sizeof c->in - (c->phase > OCMI_ANSWERING ? 0 : c->in_len));
    if (len == 0) c->half_closed = 1;
    if (c->phase > OCMI_ANSWERING) return;
    if (c->phase == OCMI_READING && c->in_len == 0 && len) c->deadline = now + OCMI_REQUEST_MS;
    if (len) memcpy(c->in + c->in_len, p, len);
    c->in_len += len;
}

OCM_API void ocm_conn_sent(ocm_conn *c, size_t len)
{
    OCM_ASSERT(len <= c->out_len - c->out_at);
    c->out_at += len;
}

/* All frames of an answer. The last one's payload is written before its header, which tells its
   length. */
static void ocmi_conn_answer(ocm_conn *c, ocm_registry *g, const ocm_request *q, int decision)
{
    static const char ack[] = "{\"status\":202,\"message\":\"the request has arrived\"}";
    int json = q->dialect == OCM_DIALECT_JSON;
    ocm_view room = c->member && !json ? q->room : ocmi_none();
    ocmi_out o = ocmi_out_open(c->out, sizeof c->out), p;
    if (!json) {
        ocmi_put_frame(&o, q->op, OCM_STATE_ACK, ocmi_none(), 1);
        ocmi_put_byte(&o, q->dialect == OCM_DIALECT_TEXT ? ocmi_decisions[decision].text : 200);
    } else if (q->op != OCM_LIST) {
        ocmi_put_frame(&o, q->op, OCM_STATE_ACK, ocmi_none(), sizeof ack - 1);
        ocmi_put_text(&o, ack);
    }
    c->out_first = o.len;
    p = ocmi_out_open(c->out + o.len + OCM_HEADER_LEN + room.len,
                      sizeof c->out - o.len - OCM_HEADER_LEN - room.len);
    if (decision == OCMI_LISTED) ocmi_put_list(g, ocmi_room_find(g, q->room), q->password, &p);
    else ocmi_put_outcome(g, &p, q->dialect, decision, c->member);
    ocmi_put_frame(&o, q->op, OCM_STATE_COMPLETE, room, p.len);
    OCM_ASSERT(!p.full && !o.full);
    c->out_len = o.len + p.len;
    c->serial = g->member[c->member].serial;
    c->later = json ? g->now : g->now + OCMI_PAUSE_MS;
    c->deadline = c->later + OCMI_REQUEST_MS;
    c->phase = OCMI_ANSWERING;
}

/* Answers the request that has come, if it is whole, and need not wait. */
static void ocmi_conn_request(ocm_conn *c, ocm_registry *g, ocm_io *io)
{
    uint8_t scratch[OCM_PAYLOAD_MAX];
    int n, decision = OCMI_MALFORMED;
    ocm_frame f;
    ocm_request q;
    n = ocm_frame_decode(c->in, c->in_len, OCM_PAYLOAD_MAX, &f);
    if (n == OCM_E_LARGE && c->in_len > OCM_HEADER_LEN + (size_t)c->in[0]) {
        c->too_large = 1; /* its first payload byte decides how it is answered */
        f.room = ocmi_none();
        f.payload = ocmi_view(c->in + OCM_HEADER_LEN + c->in[0], 1);
        decision = OCMI_TOO_LARGE;
    } else if (n <= 0) {
        if (c->half_closed || g->now >= c->deadline) c->phase = OCMI_CLOSED;
        return;
    }
    if (ocm_request_decode(&f, scratch, &q) > 0) {
        c->at = c->from;
        if (q.port) c->at.port = (uint16_t)q.port;
        decision = ocmi_decide(c, g, &q, io);
        if (decision == OCMI_NOT_YET) { /* who sends no more may be gone: it must not join later */
            if (c->half_closed) c->phase = OCMI_CLOSED;
            return;
        }
        io->room = q.room;
        if (q.op != OCM_LIST) { /* the name may be in scratch */
            ocmi_name_set(&c->name, q.name);
            io->name = ocmi_name_view(&c->name);
        }
    }
    c->used = n > 0 ? (size_t)n : 0;
    c->turn = 0;
    io->op = q.op;
    io->status = ocmi_decisions[decision].status;
    g->counts.requests++;
    if (io->status >= 400) g->counts.refused++;
    ocmi_conn_answer(c, g, &q, decision);
}

/* The answer is out. Only now does a returning member have another address, and a new one 10 s for
   its first datagram. */
static void ocmi_conn_answered(ocm_conn *c, ocm_registry *g)
{
    ocmi_member *m = &g->member[c->member];
    int served = c->member != 0;
    if (served && m->serial == c->serial && !m->reason) {
        if (c->kept) {
            m->addr = c->at;
            if (ocmi_origin_fits(g, &c->at, g->room[m->room].host == c->member)) {
                ocmi_origin_remove(g, c->member);
                ocmi_origin_add(g, c->member, &c->at);
            }
        }
        m->failures = 0;
        ocmi_alive(g, c->member, m->heard);
    }
    c->member = 0;
    c->out_at = c->out_len = 0;
    c->in_len -= c->used;
    memmove(c->in, c->in + c->used, c->in_len);
    c->phase = c->too_large ? OCMI_LINGERING : served ? OCMI_SERVED : OCMI_READING;
    c->deadline = g->now + (c->too_large ? OCMI_LINGER_MS
                            : c->in_len && !served ? OCMI_REQUEST_MS : OCMI_CONN_SILENCE_MS);
}

OCM_API void ocm_conn_next(ocm_conn *c, ocm_registry *g, uint64_t now, ocm_io *io)
{
    OCM_ASSERT(io != NULL);
    ocmi_tick(g, now);
    memset(io, 0, sizeof *io);
    if (c->phase == OCMI_ANSWERING && c->out_at == c->out_len) ocmi_conn_answered(c, g);
    io->until = c->deadline;
    if (c->phase == OCMI_READING) ocmi_conn_request(c, g, io);
    else if (now >= c->deadline) c->phase = OCMI_CLOSED;
    if (c->phase > OCMI_ANSWERING && c->half_closed) c->phase = OCMI_CLOSED;
    if (c->phase == OCMI_ANSWERING) {
        size_t end = now >= c->later ? c->out_len : c->out_first;
        io->send = ocmi_view(c->out + c->out_at, end - c->out_at);
        io->until = now < c->later ? c->later : c->deadline;
    }
    if (!c->half_closed) io->read = sizeof c->in - (c->phase > OCMI_ANSWERING ? 0 : c->in_len);
    io->shut = c->phase == OCMI_LINGERING;
    io->close = c->phase == OCMI_CLOSED;
}

OCM_API void ocm_conn_close(ocm_conn *c, ocm_registry *g, uint64_t now)
{
    const ocmi_member *m = &g->member[c->member];
    ocmi_tick(g, now);
    if (c->phase == OCMI_ANSWERING && c->out_at == c->out_len) ocmi_conn_answered(c, g);
    else if (c->member && !c->kept && m->serial == c->serial && !m->reason)
        ocmi_member_end(g, c->member, OCMI_REASON_BROKEN);
    c->member = 0;
    c->phase = OCMI_CLOSED;
}

/* ==== 7. Session: joining and coming back ===================================================

   A session connects, asks, and is inside once its answer says so. Inside, it uses datagrams
   only. When the server is silent for OCMI_SILENT_MS, or has removed it for no fault of its user,
   it asks again with its token, until a datagram ends that, or an answer does. Inputs only change
   the state; ocm_session_next, at the end, shows the order of everything. */

/* Phases. At its `deadline` a session that waits connects, an attempt by TCP (the second and third
   phase) has failed, and inside there is an outage. */
enum {
    OCMI_WAITING, OCMI_CONNECTING, OCMI_ASKING, OCMI_INSIDE, OCMI_CHANGING, OCMI_ENDING, OCMI_OVER
};

#define OCMI_ANSWER_MS 5000u   /* for a connection, and then for an answer */
#define OCMI_SILENT_MS 10000u  /* without a datagram: an outage; without a fate: it leaves anyway */
#define OCMI_UNHEARD_MS 12000u /* after an answer, a server that hears no UDP has removed us */
#define OCMI_RETRY_MS 60000u   /* for which a refusal to come back is not final */
#define OCMI_PAST 20u          /* entries of a room's past that a new member asks for */
#define OCMI_GAP_MS 50u        /* for which an entry may have been overtaken */
#define OCMI_TAIL_MS 2000u     /* after the last new entry: so much later its position is given */
#define OCMI_LEAVE_MS 300u     /* for the server to confirm that it leaves */
#define OCMI_NEVER UINT64_MAX

OCM_API int ocm_session_open(ocm_session *s, int want, ocm_view room, ocm_view name,
                             ocm_view password)
{
    OCM_ASSERT(s != NULL && want >= OCM_JOIN_OR_CREATE && want <= OCM_JOIN);
    memset(s, 0, sizeof *s);
    s->phase = OCMI_OVER;
    if (!ocm_room_valid(room) || !ocm_name_valid(name) || password.len > OCM_NAME_MAX ||
        !ocmi_text_scan(password).valid)
        return OCM_E_BAD;
    s->phase = OCMI_WAITING;
    s->op = want == OCM_CREATE ? OCM_CREATE : OCM_JOIN;
    s->may_create = want == OCM_JOIN_OR_CREATE;
    s->next = s->wanted = s->said_id = 1;
    ocmi_name_set(&s->room, room);
    ocmi_name_set(&s->name, name);
    ocmi_name_set(&s->password, password);
    return 1;
}

static void ocmi_session_words(ocm_session *s, ocm_view words, uint64_t id)
{
    int fit = words.len <= OCM_NAME_MAX && ocm_message_valid(words);
    ocmi_name_set(&s->words, fit ? words : ocmi_none());
    s->words_id = id;
}

/* All entries before `to` have come, or never will. */
static void ocmi_session_wants(ocm_session *s, uint64_t to)
{
    if (to > s->wanted) s->wanted = to;
    while (s->early[s->wanted % OCM_REORDER].seq == s->wanted) s->wanted++;
}

/* Nothing more comes: what is missing in the log is lost, and what is here is still shown. */
static void ocmi_session_end(ocm_session *s, int end, int status, ocm_view words)
{
    s->phase = OCMI_ENDING;
    s->end = end;
    s->status = status;
    ocmi_session_wants(s, s->newest + 1);
    ocmi_session_words(s, words, 0);
}

/* What follows an outage, or an attempt by TCP that failed (status 0) or was refused. Where there
   is no room, it may create it at once. If somebody else has just done so, it joins after all:
   that, and coming back, is tried after 0, 1, 2, 4 ... 30 s. Else the first failure is final. */
static void ocmi_session_retry(ocm_session *s, uint64_t status, ocm_view words, uint64_t now)
{
    int end = status == 401 ? OCM_END_PASSWORD
              : status == 404 ? OCM_END_NO_ROOM
              : status == 503 ? OCM_END_FULL
              : status == 409 ? (s->op == OCM_CREATE ? OCM_END_ROOM_EXISTS : OCM_END_NAME_TAKEN)
              : status ? OCM_END_REFUSED
              : s->phase == OCMI_CONNECTING ? OCM_END_NO_SERVER : OCM_END_NO_ANSWER;
    int joins = s->token.len || (s->may_create && end == OCM_END_ROOM_EXISTS);
    s->phase = OCMI_WAITING;
    if (status && !s->refused_at) s->refused_at = now;
    if (s->may_create && s->op == OCM_JOIN && status == 404) {
        s->op = OCM_CREATE;
        s->deadline = now;
    } else if (!joins || status == 400 || status == 401 ||
               (status && now - s->refused_at >= OCMI_RETRY_MS)) {
        ocmi_session_end(s, end, (int)status, words);
    } else {
        s->op = OCM_JOIN;
        s->deadline = now + s->retry_wait;
        s->retry_wait = s->retry_wait == 0 ? 1000 : 2 * s->retry_wait;
        if (s->retry_wait > 30000) s->retry_wait = 30000;
    }
}

/* The server is silent, or has removed us, or (worse) nothing comes by UDP. The user is told when
   it begins and when it gets worse, not at each attempt to come back. */
static void ocmi_session_outage(ocm_session *s, int no_udp, ocm_view words, uint64_t now)
{
    int kind = no_udp ? OCM_SHOW_NO_UDP : OCM_SHOW_OUTAGE;
    if (s->health == OCM_SHOW_BACK || s->health < kind) {
        s->health = kind;
        s->shows = (s->shows & ~(1u << OCM_SHOW_BACK)) | 1u << kind; /* it is back no more */
        ocmi_session_words(s, words, 0);
    }
    s->status = 0;
    ocmi_session_retry(s, 0, ocmi_none(), now);
}

OCM_API void ocm_session_connected(ocm_session *s, ocm_view ip, uint16_t port, uint64_t now)
{
    ocm_view token = s->op == OCM_JOIN ? ocmi_name_view(&s->token) : ocmi_none();
    ocm_request q = {s->op, OCM_DIALECT_JSON, ocmi_name_view(&s->room), ocmi_name_view(&s->name),
                     ocmi_name_view(&s->password), token, ip, port, 1};
    int n;
    OCM_ASSERT(port != 0);
    if (s->phase != OCMI_CONNECTING) return;
    n = ocm_request_encode(s->out, sizeof s->out, &q);
    OCM_ASSERT(n > 0);
    s->request_len = (size_t)n;
    s->in_len = 0;
    s->phase = OCMI_ASKING;
    s->deadline = now + OCMI_ANSWER_MS;
}

/* What is in the outbox was not taken, or not in this log: its ids begin with 1 again. */
static void ocmi_session_number(ocm_session *s)
{
    s->said_id = 1;
    s->words_id = s->sent_id = s->in_flight = s->taken = s->lost_id = 0;
    s->hold = 0;
}

/* The answer makes it a member. On the same log it reads on from where it was; with a new token it
   says nothing until it has read as far as its own notice: its messages may be in that part. If it
   is another log, what is here of the old one is read first, and then the answer is looked at again
   (OCMI_CHANGING). Of such a log nothing is past: the session is older than that. */
static void ocmi_session_entered(ocm_session *s, const ocm_outcome *o, uint64_t now)
{
    int first = s->token.len == 0, same = ocm_view_equal(o->token, ocmi_name_view(&s->token));
    uint64_t seq = o->level ? o->seq : 0;
    if (!first && o->level && (same || o->log == s->log)) {
        if (seq > s->newest) s->newest = seq;
        if (!same) {
            s->own_from = seq;
            s->hold = 1;
        }
    } else if (!first && s->phase != OCMI_CHANGING) {
        ocmi_session_wants(s, s->newest + 1);
        s->taken = 0; /* what it has not read there is to be said again */
        s->phase = OCMI_CHANGING;
        return;
    } else {
        s->entered = first ? seq : 0;
        s->next = s->wanted = s->entered > OCMI_PAST ? s->entered - OCMI_PAST + 1 : 1;
        s->newest = s->own_from = seq;
        ocmi_session_number(s);
        if (first) s->shows |= 1u << OCM_SHOW_ENTERED;
    }
    ocmi_name_set(&s->token, o->token);
    s->log = o->log;
    s->level = o->level > 0;
    s->status = s->op == OCM_CREATE ? 201 : 200;
    s->may_create = s->op == OCM_CREATE || (same && s->may_create);
    s->keep = o->idle && o->idle < 75 ? o->idle * 1000 / 3 : 25000;
    s->phase = OCMI_INSIDE;
    s->refused_at = 0;
    s->removed = s->timed = s->tries = 0;
    s->ask_at = s->entered_at = now;
    s->deadline = now + OCMI_SILENT_MS;
}

/* Looks at what came by TCP, once the whole answer is there. */
static void ocmi_session_answer(ocm_session *s, uint64_t now)
{
    size_t used = 0;
    int n;
    ocm_frame f;
    ocm_outcome o;
    while ((n = ocm_frame_decode(s->in + used, s->in_len - used, OCM_PAYLOAD_MAX, &f)) > 0 &&
           f.state == OCM_STATE_ACK)
        used += (size_t)n;
    if (n == 0) return;
    if (n < 0 || f.state != OCM_STATE_COMPLETE || ocm_outcome_decode(&f, s->scratch, &o) < 0 ||
        (s->token.len && o.token.len > s->token.len && o.token.len > OCM_TOKEN_LEN))
        ocmi_session_retry(s, 0, ocmi_none(), now); /* what was said fits beside no longer token */
    else if (o.status < 300) ocmi_session_entered(s, &o, now);
    else ocmi_session_retry(s, o.status, o.why, now);
}

OCM_API void ocm_session_received(ocm_session *s, const uint8_t *p, size_t len, uint64_t now)
{
    int ended = len == 0 || len > sizeof s->in - s->in_len;
    if (ended && (s->phase == OCMI_CONNECTING || s->phase == OCMI_ASKING))
        ocmi_session_retry(s, 0, ocmi_none(), now);
    if (s->phase != OCMI_ASKING) return;
    memcpy(s->in + s->in_len, p, len);
    s->in_len += len;
    ocmi_session_answer(s, now);
}

/* ==== 7. Session: hearing ===================================================================

   A datagram is heard when it comes, and read when the program asks what to do. Hearing files its
   entries in the reorder buffer, each at its seq modulo the buffer's size, moves `wanted`, and sets
   the timer. Reading follows with `next`, in the order of seq, and decides what became of a
   message. */

/* Operation 3. At level 1 some reasons are no fault of the user: then it comes back. */
static void ocmi_session_removed(ocm_session *s, const ocm_message *m, uint64_t now)
{
    int reason = OCM_REASON_STOPPING, unheard = now - s->entered_at <= OCMI_UNHEARD_MS;
    while (reason && !ocm_view_equal(m->reason, ocm_text(ocmi_reasons[reason].key))) reason--;
    if (s->level && !s->leaving && reason >= OCM_REASON_TIMEOUT) {
        s->removed = 1;
        ocmi_session_outage(s, unheard && reason == OCM_REASON_TIMEOUT, m->text, now);
    } else {
        ocmi_session_end(s, s->leaving > 1 ? OCM_END_LEFT
                            : reason == OCM_REASON_HOST ? OCM_END_HOST : OCM_END_REMOVED,
                         0, m->text);
    }
}

/* Into the reorder buffer, if there is a place for it. */
static void ocmi_session_store(ocm_session *s, uint64_t seq, ocm_view json)
{
    ocmi_early *e = &s->early[seq % OCM_REORDER];
    if (seq < s->next || seq - s->next >= OCM_REORDER) return;
    e->seq = seq;
    e->len = (uint16_t)json.len;
    memcpy(e->json, json.ptr, json.len);
    ocmi_session_wants(s, s->wanted);
}

/* An entry or a status. Progress is noticed here: the entry that it waits for has come, or a gap is
   new, or a message was taken (its own entry shows that, early or not: what was said after it need
   not wait for those in between). Progress starts the timer over, and so does a status that knows
   of nothing more: it confirms the position. What is missing is asked for in a moment, since it may
   only have been overtaken; but at once if a status ends what was sent since the last position: the
   server waits for that. */
static void ocmi_session_heard(ocm_session *s, const ocm_message *m, ocm_view json, int status,
                               uint64_t now)
{
    int own = m->seq > s->own_from && ocm_view_equal(m->sender, ocmi_name_view(&s->name));
    int progress = m->seq > s->newest + (status ? 0 : 1); /* one before it is missing */
    int missing, early = 0;
    uint64_t before = s->wanted, at = now + OCMI_GAP_MS;
    size_t i;
    if (m->seq > s->newest) s->newest = m->seq;
    if ((own || status) && m->id > s->taken && m->id <= s->sent_id) {
        s->taken = m->id;
        s->taken_seq = m->seq;
        progress = 1;
    }
    if (!status) ocmi_session_store(s, m->seq, json);
    else if (m->first <= m->seq + 1) ocmi_session_wants(s, m->first);
    progress |= s->wanted > before;
    missing = s->wanted <= s->newest;
    if (progress || (status && !missing && !s->said_count)) s->tries = 0;
    if (s->wanted > before && !missing) /* by a status it moves if something is lost */
        s->ask_at = status ? now : now + OCMI_TAIL_MS;
    for (i = 0; i < OCM_REORDER; i++) early |= s->early[i].seq > s->wanted;
    if (status && !early && s->wanted - 1 > s->given) at = now;
    if (missing && (progress || status) && at < s->ask_at) s->ask_at = at;
    if (s->timed && s->taken >= s->in_flight) {
        s->rtt = now - s->sent_at;
        s->timed = 0;
    }
}

/* One object. What a server without level 1 sends is numbered as it arrives. */
static void ocmi_session_line(ocm_session *s, ocm_view json, uint64_t now)
{
    ocm_message m;
    int good = ocm_message_decode(json, s->scratch, &m) > 0;
    uint64_t operation = good && ocmi_is_system(&m) ? m.operation : 0;
    int gone = !s->level && ocm_view_equal(json, ocm_text("\"You have been disconnected\""));
    if (operation == OCM_OP_REMOVED || gone) { /* the latter is all that team D's server says */
        ocmi_session_removed(s, &m, now);
    } else if (!s->level) {
        ocmi_session_store(s, s->wanted, json);
    } else if (operation == OCM_OP_NOTICE) {
        ocmi_session_words(s, m.text, m.id);
        if (!m.id) s->shows |= 1u << OCM_SHOW_NOTICE;
    } else if (good && (operation == OCM_OP_LOG || operation <= OCM_OP_LEFT)) {
        ocmi_session_heard(s, &m, json, operation == OCM_OP_LOG, now);
    }
}

/* A datagram with a whole header must carry our token; a server without level 1 may also send one
   with a header of two zero bytes, or with none. */
OCM_API int ocm_session_datagram(ocm_session *s, const uint8_t *p, size_t len, uint64_t now)
{
    ocm_datagram d = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    ocm_view line;
    int whole = ocm_datagram_decode(p, len, &d) > 0 &&
                ocm_view_equal(d.room, ocmi_name_view(&s->room));
    int zeros = len >= 2 && p[0] == 0 && p[1] == 0, bare = len && (p[0] == '{' || p[0] == '"');
    if (len > OCM_DATAGRAM_MAX || s->phase > OCMI_INSIDE || !s->token.len || s->removed) return 0;
    if (whole ? !ocm_view_equal(d.token, ocmi_name_view(&s->token)) : s->level || (!zeros && !bare))
        return 0;
    s->deadline = OCMI_NEVER;
    s->phase = OCMI_INSIDE; /* if it was asking again: the server was only slow */
    if (!s->level) ocmi_session_line(s, whole || zeros ? d.payload : ocmi_view(p, len), now);
    else while (s->phase == OCMI_INSIDE && ocmi_line_next(&d.payload, &line))
        ocmi_session_line(s, line, now);
    /* After NO_UDP a datagram proves that we are heard only once we would have been removed. */
    if (s->phase == OCMI_INSIDE &&
        (s->health != OCM_SHOW_NO_UDP || now - s->entered_at > OCMI_UNHEARD_MS)) {
        if (s->health && s->health != OCM_SHOW_BACK) s->shows |= 1u << OCM_SHOW_BACK;
        s->health = OCM_SHOW_BACK;
        s->retry_wait = s->refused_at = 0;
    }
    return 1;
}

static ocmi_said *ocmi_said_at(ocm_session *s, uint64_t id)
{
    return &s->said[(s->said_at + id - s->said_id) % OCM_OUTBOX];
}

/* The oldest message leaves the outbox. */
static ocm_view ocmi_session_pop(ocm_session *s)
{
    const ocmi_said *m = &s->said[s->said_at];
    s->said_at = (s->said_at + 1) % OCM_OUTBOX;
    s->said_id++;
    s->said_count--;
    s->give_up = OCMI_NEVER;
    return ocmi_view(m->text, m->len);
}

static int ocmi_session_action(ocm_action *a, int kind, ocm_view text)
{
    a->kind = kind;
    a->text = text;
    return 1;
}

/* Entries are lost, up to the next that is here, and maybe messages with them (lost_id): what was
   taken counts as delivered. Nobody misses the past, or the notice that is not shown. */
static int ocmi_session_lose(ocm_session *s, ocm_action *a)
{
    uint64_t from = s->next > s->entered ? s->next : s->entered + 1, to = s->wanted;
    size_t i;
    for (i = 0; i < OCM_REORDER; i++)
        if (s->early[i].seq > s->next && s->early[i].seq < to) to = s->early[i].seq;
    s->lost_id = s->sent_id;
    s->next = to;
    if (to > from && !s->leaving)
        a->count = to - from - (s->own_from >= from && s->own_from < to);
    return a->count ? ocmi_session_action(a, OCM_SHOW_MISSED, ocmi_none()) : 0;
}

/* What there is to show of an entry, or of a payload of a server without level 1; 0: nothing. */
static int ocmi_session_decode(ocm_session *s, ocm_view json, ocm_message *m)
{
    ocmi_out o = ocmi_out_open(s->scratch, sizeof s->scratch);
    ocm_view text;
    if (ocmi_json_string(json, 0, &o, &text)) { /* bare: a notice of team D's server */
        *m = ocmi_system(OCM_OP_NOTICE, 0);
        m->text = text;
        return ocm_message_valid(m->text) ? OCM_SHOW_NOTICE : 0;
    }
    if (ocm_message_decode(json, s->scratch, m) < 0 || !ocm_message_valid(m->text) ||
        !ocm_message_valid(m->sender) || !ocm_message_valid(m->username) || !m->text.len)
        return 0;
    if (!ocmi_is_system(m)) return OCM_SHOW_MESSAGE;
    if (m->operation == OCM_OP_JOINED && m->username.len) return OCM_SHOW_JOINED;
    return m->operation == OCM_OP_LEFT && m->username.len ? OCM_SHOW_LEFT : OCM_SHOW_NOTICE;
}

/* Reads on, up to something to show; 0 if there is nothing more. Only here a message gets its fate.
   Its own entry is its receipt, and passes those said before it; they are passed, too, when all is
   read that was there when the server was known to have taken them. Whatever is passed was refused,
   or was in entries that are lost. An entry that is older than its token may be that of another
   member of its name: it is its own only while it holds back, and only word for word. */
static int ocmi_session_read(ocm_session *s, ocm_action *a)
{
    for (;;) {
        ocmi_early *e = &s->early[s->next % OCM_REORDER];
        int here = e->seq == s->next, kind = 0, own = 0, receipt = 0;
        uint64_t id = s->said_id, passed = s->next > s->taken_seq ? s->taken : 0;
        ocm_message m;
        if (here) {
            kind = ocmi_session_decode(s, ocmi_view(e->json, e->len), &m);
            own = ocm_view_equal(m.sender, ocmi_name_view(&s->name));
            receipt = own && m.id >= id && m.id <= s->sent_id;
        }
        if (own && s->next <= s->own_from) {
            const ocmi_said *said = ocmi_said_at(s, m.id);
            receipt &= s->hold && ocm_view_equal(m.text, ocmi_view(said->text, said->len));
            own = receipt;
        }
        if (receipt) passed = m.id - 1;
        if (s->said_count && id <= passed) {
            ocm_view text = ocmi_session_pop(s);
            if (id <= s->lost_id) continue;
            if (id == s->words_id) a->why = ocmi_name_view(&s->words);
            return ocmi_session_action(a, OCM_SHOW_REFUSED, text);
        }
        if (s->hold && s->next > s->own_from) {
            ocmi_session_number(s); /* what is left was never taken */
        } else if (here) {
            if (receipt) ocmi_session_pop(s);
            e->seq = 0;
            a->seq = s->next++;
            if (!kind || a->seq == s->own_from) continue; /* its user knows that it joined */
            a->own = own;
            a->past = a->seq < s->entered;
            a->name = kind == OCM_SHOW_MESSAGE ? m.sender : m.username;
            return ocmi_session_action(a, kind, m.text);
        } else if (s->next == s->wanted) {
            return 0;
        } else if (ocmi_session_lose(s, a)) {
            return 1;
        }
    }
}

/* ==== 7. Session: speaking ==================================================================

   One timer sends the position, and with it what was not taken. */

/* A server without level 1 may write anew what it relays, as \uXXXX. What gets too long by that
   would reach nobody, and end team D's clients. */
static int ocmi_session_ascii(const ocm_session *s)
{
    return s->token.len && !s->level;
}

OCM_API size_t ocm_session_text_max(const ocm_session *s)
{
    size_t token = s->token.len ? s->token.len : OCM_TOKEN_MAX; /* OCM_TEXT_MAX assumes 32 */
    return OCM_TEXT_MAX - (token > OCM_TOKEN_LEN ? token - OCM_TOKEN_LEN : 0) - s->room.len -
           ocmi_escaped_len(ocmi_name_view(&s->name), ocmi_session_ascii(s));
}

OCM_API size_t ocm_session_pending(const ocm_session *s)
{
    return s->said_count;
}

OCM_API int ocm_session_say(ocm_session *s, ocm_view text)
{
    ocmi_said *m = ocmi_said_at(s, s->said_id + s->said_count);
    if (text.len == 0 || !ocm_message_valid(text)) return OCM_E_BAD;
    if (ocmi_escaped_len(text, ocmi_session_ascii(s)) > ocm_session_text_max(s)) return OCM_E_LARGE;
    if (s->said_count == OCM_OUTBOX || s->leaving || s->phase >= OCMI_ENDING) return OCM_E_FULL;
    m->len = (uint16_t)text.len;
    memmove(m->text, text.ptr, text.len); /* it may be a view of this very place */
    s->said_count++;
    return 1;
}

OCM_API void ocm_session_leave(ocm_session *s)
{
    if (s->leaving) return;
    s->leaving = 1;
    s->give_up = OCMI_NEVER;
}

/* When the position is repeated because nothing has answered, or given to keep the membership. */
static uint64_t ocmi_session_repeat_at(const ocm_session *s)
{
    uint64_t step = 2 * s->rtt > 300 ? 2 * s->rtt : 300;
    if (!s->said_count && !s->tries) return s->sent_at + s->keep;
    if (s->tries > 1) step <<= s->tries < 4 ? s->tries - 1 : 3;
    return s->sent_at + (step < 3000 ? step : 3000);
}

/* At level 1: the position, if it is to be given, and the messages not yet taken, oldest first, as
   many as fit. If not even the oldest fits beside the position, then nothing is in flight, and it
   goes next. A round trip is measured from what was sent once: nobody can tell which of two an
   answer is for. */
static void ocmi_session_put_lines(ocm_session *s, int position, ocmi_out *o, uint64_t now)
{
    int overdue = s->ask_at > now && (s->tries || s->said_count); /* an answer is missing */
    uint64_t from = s->taken + 1, end = s->hold ? from : s->said_id + s->said_count, id;
    ocm_message m = ocmi_system(OCM_OP_LOG, OCM_HAS_SEQ);
    size_t head = o->len;
    if (position) {
        m.seq = s->given = s->wanted - 1;
        ocmi_put_line(o, head, &m);
        /* At 30 % loss half the questions about a gap get no answer: a second one follows as soon
           as the answer is late, if it is known when that is. */
        s->ask_at = OCMI_NEVER;
        if (s->wanted <= s->newest && !s->tries && s->rtt)
            s->ask_at = now + (s->rtt > OCMI_GAP_MS ? s->rtt : OCMI_GAP_MS);
    }
    for (id = from; id < end; id++) {
        const ocmi_said *said = ocmi_said_at(s, id);
        m.has = OCM_HAS_TEXT | OCM_HAS_ID;
        m.text = ocmi_view(said->text, said->len);
        m.id = id;
        if (!ocmi_put_line(o, head, &m)) break;
    }
    s->timed = id > from ? from > s->sent_id : !s->tries;
    if (id > s->sent_id + 1) s->sent_id = id - 1;
    s->in_flight = id - 1;
    if (position) s->tries = (s->tries ? s->tries : 1) + overdue;
}

/* A datagram: that it leaves, or what there is to say. */
static int ocmi_session_speak(ocm_session *s, int position, uint64_t now, ocm_action *a)
{
    ocmi_out o = ocmi_out_open(s->out, OCM_DATAGRAM_MAX);
    ocmi_out words = ocmi_out_open(s->scratch, sizeof s->scratch);
    ocm_message m = ocmi_system(OCM_OP_LEFT, OCM_HAS_USERNAME | OCM_HAS_TEXT);
    size_t head;
    ocmi_put_datagram_head(&o, ocmi_name_view(&s->room), ocmi_name_view(&s->token));
    head = o.len;
    if (s->leaving > 1) {
        m.username = ocmi_name_view(&s->name);
        ocmi_put_view(&words, m.username);
        ocmi_put_text(&words, " left");
        m.text = ocmi_view(words.ptr, words.len);
        ocmi_put_message(&o, &m);
        if (!s->level) ocmi_session_end(s, OCM_END_LEFT, 0, ocmi_none());
    } else if (!s->level) { /* each message once, with its sender's name; nobody sends it back */
        m.has = OCM_HAS_SENDER | OCM_HAS_TEXT;
        m.sender = ocmi_name_view(&s->name);
        m.text = ocmi_session_pop(s);
        ocmi_put_message(&o, &m);
        ocmi_session_store(s, s->wanted, ocmi_view(o.ptr + head, o.len - head));
    } else {
        ocmi_session_put_lines(s, position, &o, now);
    }
    OCM_ASSERT(!o.full);
    s->sent_at = now;
    if (s->deadline == OCMI_NEVER) s->deadline = now + OCMI_SILENT_MS;
    return ocmi_session_action(a, OCM_DO_SEND, ocmi_view(o.ptr, o.len));
}

/* What there is to tell, or to read; 0 if there is nothing. At the end these are messages of which
   nobody knows whether they arrived, and the end itself. */
static int ocmi_session_tell(ocm_session *s, ocm_action *a)
{
    int kind = 0;
    if (s->connection && s->phase != OCMI_CONNECTING && s->phase != OCMI_ASKING) {
        s->connection = 0;
        return ocmi_session_action(a, OCM_DO_DISCONNECT, ocmi_none());
    }
    if (s->shows) {
        while (!(s->shows >> kind & 1)) kind++;
        s->shows &= s->shows - 1;
        a->status = s->status;
        a->seq = s->entered;
        return ocmi_session_action(a, kind, kind == OCM_SHOW_OUTAGE || kind == OCM_SHOW_NOTICE
                                                ? ocmi_name_view(&s->words)
                                                : ocmi_none());
    }
    if (ocmi_session_read(s, a)) return 1;
    if (s->phase != OCMI_ENDING) return 0;
    if (s->said_count) {
        s->unknown++;
        return ocmi_session_action(a, OCM_SHOW_UNKNOWN, ocmi_session_pop(s));
    }
    s->phase = OCMI_OVER;
    a->end = s->end;
    a->status = s->status;
    a->count = s->unknown;
    return ocmi_session_action(a, OCM_END, ocmi_name_view(&s->words));
}

/* 1 if it is time; else a->until will be no later. */
static int ocmi_is_time(ocm_action *a, uint64_t at, uint64_t now)
{
    if (at < a->until) a->until = at;
    return at <= now;
}

/* What is to be told goes first, then what is due. Leaving waits until all that was said has its
   fate; it is sent three times within a second, until it is confirmed. */
OCM_API int ocm_session_next(ocm_session *s, uint64_t now, ocm_action *a)
{
    OCM_ASSERT(s != NULL && a != NULL && now >= s->sent_at);
    memset(a, 0, sizeof *a);
    for (;;) {
        int inside = s->phase == OCMI_INSIDE;
        uint64_t leave_at;
        a->until = OCMI_NEVER;
        if (s->phase == OCMI_OVER) return 0;
        if (ocmi_session_tell(s, a)) return 1;
        if (s->give_up == OCMI_NEVER) s->give_up = now + OCMI_SILENT_MS;
        leave_at = s->leaving > 1 ? s->sent_at + OCMI_LEAVE_MS : s->said_count ? s->give_up : 0;
        if (s->phase == OCMI_CHANGING) {
            ocmi_session_answer(s, now);
        } else if (s->leaving && s->token.len && ocmi_is_time(a, leave_at, now)) {
            if (!s->removed && s->leaving++ < 4) return ocmi_session_speak(s, 0, now, a);
            ocmi_session_end(s, OCM_END_UNCONFIRMED, 0, ocmi_none());
        } else if (s->leaving > 1) {
            return 0;
        } else if (s->phase == OCMI_ASKING && s->request_len) {
            ocm_view request = ocmi_view(s->out, s->request_len);
            s->request_len = 0;
            return ocmi_session_action(a, OCM_DO_REQUEST, request);
        } else if (!inside) {
            if (!ocmi_is_time(a, s->deadline, now)) return 0;
            if (s->phase == OCMI_WAITING) {
                s->phase = OCMI_CONNECTING;
                s->connection = 1;
                s->deadline = now + OCMI_ANSWER_MS;
                return ocmi_session_action(a, OCM_DO_CONNECT, ocmi_none());
            }
            ocmi_session_retry(s, 0, ocmi_none(), now);
        } else if (!s->level) {
            return s->said_count ? ocmi_session_speak(s, 0, now, a) : 0;
        } else if (!s->leaving && ocmi_is_time(a, s->deadline, now)) {
            ocmi_session_outage(s, s->health != OCM_SHOW_BACK, ocmi_none(), now);
        } else {
            int untaken = !s->hold && s->taken + 1 < s->said_id + s->said_count;
            int go = untaken && s->taken >= s->in_flight;
            int position = ocmi_is_time(a, s->ask_at, now);
            if (!go && ocmi_is_time(a, ocmi_session_repeat_at(s), now)) position = 1;
            return go || position ? ocmi_session_speak(s, position, now, a) : 0;
        }
    }
}

#endif /* OCM_IMPLEMENTED */
#endif /* OCM_IMPLEMENTATION */

/* LICENSE: choose either.

1. Public domain (Unlicense)

This is free and unencumbered software released into the public domain.

Anyone is free to copy, modify, publish, use, compile, sell, or distribute this software, either
in source code form or as a compiled binary, for any purpose, commercial or non-commercial, and
by any means.

In jurisdictions that recognize copyright laws, the author or authors of this software dedicate
any and all copyright interest in the software to the public domain. We make this dedication for
the benefit of the public at large and to the detriment of our heirs and successors. We intend
this dedication to be an overt act of relinquishment in perpetuity of all present and future
rights to this software under copyright law.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.

For more information, please refer to <https://unlicense.org>

2. MIT

Copyright (c) 2026 the authors of ocm.h

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or
substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM,
DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE. */
