/* ocm.h - v1.0 - chat rooms over TCP and UDP: the protocol, the server's registry, the client's session
   No I/O, no allocation, no globals: it compiles anywhere and is tested without a network.
   Public domain (Unlicense) or MIT, at your choice; both texts stand at the end of this file.

   Put this line into exactly one C or C++ file, and include the header plainly in the others:
       #define OCM_IMPLEMENTATION
       #include "ocm.h"

   QUICK EXAMPLE: alice creates a room, bob joins, alice speaks, bob hears.

       #define OCM_IMPLEMENTATION
       #include "ocm.h"
       #include <stdio.h>
       #include <stdlib.h>

       static ocm_registry *reg;
       static uint8_t out[OCM_ANSWER_MAX];

       static ocm_answer ask(int op, const char *name, uint16_t port)
       {
           static uint8_t dice;                       // a real program asks the system for its entropy
           uint8_t frame[OCM_FRAME_MAX], random[16] = {0};
           ocm_addr from = {{0,0,0,0,0,0,0,0,0,0,255,255,127,0,0,1}, 0, port, 0};
           ocm_answer a;
           int n = ocm_frame_encode(frame, sizeof frame, op, OCM_STATE_REQUEST, ocm_text("lobby"), ocm_text(name));
           random[0] = ++dice;
           a.out = out;
           ocm_registry_request(reg, frame, (size_t)n, &from, 0, random, &a);
           return a;
       }

       int main(void)
       {
           ocm_limits limits = ocm_limits_default();
           uint8_t key[16] = {0}, datagram[OCM_DATAGRAM_MAX];
           ocm_addr from = {{0,0,0,0,0,0,0,0,0,0,255,255,127,0,0,1}, 0, 4000, 0};
           ocm_answer alice;
           ocm_event ev;
           ocm_view token;
           int n;

           reg = ocm_registry_init(calloc(1, ocm_registry_size(&limits)), &limits, key);
           alice = ask(OCM_CREATE, "alice", 4000);
           ask(OCM_JOIN, "bob", 5000);
           token.ptr = alice.token, token.len = OCM_TOKEN_LEN;
           n = ocm_datagram_encode(datagram, sizeof datagram, ocm_text("lobby"), token, ocm_text("hi, bob"));
           ocm_registry_datagram(reg, datagram, (size_t)n, &from, 1);
           while (ocm_registry_next(reg, &ev))        // what is to be sent, and where
               printf("to port %d: %.*s\n", ev.to.port, (int)ev.len, (const char *)ev.ptr);
           free(reg);
           return 0;
       }

   THE PROTOCOL. Everything of several bytes is big-endian, all text is UTF-8.

   TCP: a client asks for a room, with frames of this form in both directions (TCRP):

       0         1         2         3                                      32
       +---------+---------+---------+--------------------------------------+---------------+-------------+
       | roomlen | op      | state   | payload length, 29 bytes, big-endian | room, roomlen | payload ... |
       +---------+---------+---------+--------------------------------------+---------------+-------------+

       op      1 create a room (the asker becomes its host), 2 join a room,
               3 list: an empty room name lists all rooms, a room name that room's members
       state   0 request, 1 acknowledged, 2 complete: the outcome

   The payload of a request decides its form. The answers come in that form, and so does the chat.

       form    the payload of a request                  state-1 answer     state-2 answer
       JSON    {"username":"alice","port":4000,...}      {"status":202..}   {"status":201,...,"token":"..."}
       text    the user name, state 0                    the outcome's byte the bare token, or error: why
       seed A  the user name, another state              the byte 200       {"status_code":200,"user_token":"..."}

       outcome                                   JSON status   text byte   seed A status_code
       created                                   201           0           200
       joined, listed                            200           0           200
       malformed, bad name, unknown op or state  400           4           400
       wrong password                            401           3           400
       no such room                              404           2           404
       room exists already                       409           1           400
       user name taken in that room              409           6           400
       payload too large                         413           4           400
       the server is full                        503           5           400

   UDP: a member speaks, and is spoken to. The token is always that of the member, not of the server:

       0         1          2
       +---------+----------+---------------+-----------------+-------------+
       | roomlen | tokenlen | room, roomlen | token, tokenlen | message ... |
       +---------+----------+---------------+-----------------+-------------+

       form    member to server                          server to member
       JSON    {"sender":"alice","message":"hi"}         {"sender":"alice","message":"hi","seq":17}
       text    hi                                        alice: hi, bare, without the header
       seed A  hi                                        alice: hi

   From the server itself the sender is "system", and JSON carries an operation beside the words:
   1 a member joined, 2 a member left, 3 you are out, 4 your message was refused, 6 the log's status.
   {"sender":"system","operation":2} from a member, or the text [remove_chatroom], is leaving.
   An empty message is a keep-alive.

   LEVEL 1. A JSON member that asked with "ocm":1 loses nothing. A room is a log: its messages and its notices 1 and 2
   are numbered by seq, from 1, without holes. The answer to the request adds "ocm":1,"idle":300,"seq":17,"log":4711: the seconds of
   silence allowed, the seq of the member's own notice 1, and a number that tells this log from any other of that room's name.
   The member numbers its own messages by id, from 1, without holes:

       {"message":"hi","id":1}                                          say it; repeat it until it stands in the log
       {"sender":"alice","message":"hi","seq":17,"id":1}                the log has it: everyone gets it, alice too
       {"sender":"system","operation":6,"seq":18,"count":3}             a member misses 18, 19 and 20: send them again
       {"sender":"system","operation":6,"seq":20,"first":4,"id":1}      status: newest and oldest entry, last id taken

   Several such objects, each ended by a newline, may share a datagram of up to 1200 bytes; an empty line means nothing.

   CONVENTIONS
   Time is in milliseconds of any clock that never runs backwards. Addresses are IPv6, IPv4 ones are mapped into it.
   Text is borrowed (ocm_view): nothing here keeps a pointer into what you pass, unless it says so.
   What comes off the wire is always checked. A mistake of the calling program is an OCM_ASSERT.

   OPTIONS
   OCM_IMPLEMENTATION   compile the implementation here
   OCM_STATIC           make every function static, to have a private copy in one file
   OCM_ASSERT(x)        your own assert                                                                                  */

#ifndef OCM_H
#define OCM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef OCM_STATIC
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

/* ---- 1. Numbers ---- */

#define OCM_VERSION "1.0"

#define OCM_HEADER_LEN 32     /* bytes of a frame before the room name */
#define OCM_NAME_MAX 255      /* bytes of a room or user name, and of a password */
#define OCM_TOKEN_LEN 32      /* bytes of a token of ours: 16 random ones in hexadecimal */
#define OCM_TOKEN_MAX 255     /* bytes of a token that the format allows */
#define OCM_PAYLOAD_MAX 4096  /* bytes of a request's payload */
#define OCM_LIST_MAX 65536    /* bytes of a list's payload */
#define OCM_DATAGRAM_MAX 4096 /* bytes of a datagram */
#define OCM_SPEECH_MAX 3990   /* bytes of room name, user name and text together, see ocm_speech_len */
#define OCM_BATCH_MAX 1200    /* bytes of a datagram that carries several objects */
#define OCM_WINDOW 64         /* messages under way from a client, entries asked for at once */
#define OCM_AHEAD 256         /* entries that a session keeps while it waits for an earlier one */
#define OCM_INTEGER_MAX 9007199254740991u /* 2^53-1: what every JSON implementation can hold (RFC 8259, 6) */

#define OCM_FRAME_MAX (OCM_HEADER_LEN + OCM_NAME_MAX + OCM_PAYLOAD_MAX)
#define OCM_ANSWER_MAX (OCM_HEADER_LEN + OCM_LIST_MAX)

/* How long a server waits, in ms: for the first byte of a request, for the rest of it, and after a refusal that closes. */
#define OCM_SILENCE_MS 300000
#define OCM_REQUEST_MS 10000
#define OCM_LINGER_MS 1000

enum { OCM_CREATE = 1, OCM_JOIN = 2, OCM_LIST = 3 };                                     /* op of a frame */
enum { OCM_STATE_REQUEST = 0, OCM_STATE_ACK = 1, OCM_STATE_DONE = 2 };                   /* state of a frame */
enum { OCM_FORM_JSON = 0, OCM_FORM_TEXT = 1, OCM_FORM_SEED_A = 2 };                      /* form of a request */
enum { OCM_JOINED = 1, OCM_LEFT = 2, OCM_OUT = 3, OCM_NOTICE = 4, OCM_STATUS = 6 };      /* operation of a message */

enum {
    OCM_E_BAD = -1,   /* malformed: no more bytes will make it right */
    OCM_E_LARGE = -2, /* the header announces more than the limit */
    OCM_E_SPACE = -3, /* the output does not fit the memory given */
    OCM_E_AGAIN = -4  /* nothing was done: drain ocm_registry_next (ocm_session_next), then offer the same input again */
};

/* ---- 2. Types ---- */

/* Borrowed bytes: whoever owns them must outlive the view. */
typedef struct ocm_view {
    const uint8_t *ptr;
    size_t len; /* bytes */
} ocm_view;

/* Where a datagram or a connection comes from. IPv4 a.b.c.d is ::ffff:a.b.c.d. */
typedef struct ocm_addr {
    uint8_t ip[16];
    uint32_t scope;  /* of a link-local address, else 0 */
    uint16_t port;   /* in the order of this machine */
    uint16_t socket; /* which of the program's listeners or sockets: the registry hands it back with each event */
} ocm_addr;

/* A TCRP frame. room and payload point into the decoded buffer. */
typedef struct ocm_frame {
    int op, state;
    ocm_view room, payload;
} ocm_frame;

/* A UDP datagram. All three point into the decoded buffer. */
typedef struct ocm_datagram {
    ocm_view room, token, payload;
} ocm_datagram;

/* A message in JSON. A bit of has (OCM_HAS_...) says which members are there. */
typedef struct ocm_message {
    ocm_view sender, username, text;
    uint64_t operation, seq, first, id, count;
    unsigned has;
} ocm_message;

enum {
    OCM_HAS_SENDER = 1, OCM_HAS_OPERATION = 2, OCM_HAS_USERNAME = 4, OCM_HAS_TEXT = 8,
    OCM_HAS_SEQ = 16, OCM_HAS_FIRST = 32, OCM_HAS_ID = 64, OCM_HAS_COUNT = 128
};

/* A request for a room. An empty view or a 0 stands for what is not given. */
typedef struct ocm_request {
    int op, form;
    ocm_view room, name, password, token, ip;
    uint64_t port, level;
} ocm_request;

/* The outcome of a request, as the client reads it. */
typedef struct ocm_outcome {
    int status;          /* as in the JSON form: 200, 201, 4xx, 503 */
    ocm_view why, token; /* why: the server's words, may be empty */
    uint64_t level, idle, seq;
    uint64_t log; /* names the room's log: another number is another log, with other entries; 0 = not told */
} ocm_outcome;

/* What a registry holds and allows. */
typedef struct ocm_limits {
    uint32_t rooms, members; /* slots; only one member in eight may have a name of more than 74 bytes */
    uint32_t log;            /* bytes for the log of all rooms, up to 1 GiB; at least 64 KiB are taken */
    uint32_t idle;           /* seconds of silence after which a member is dropped; at least 1 */
    uint32_t rate;           /* datagrams a second and member, with a burst of twice as many; 0 = no limit */
    uint32_t train;          /* datagrams that an event may hold, up to 32; more than 1 only for who sends them in one call */
} ocm_limits;

/* What a registry has seen since its start, and what it holds now. */
typedef struct ocm_counts {
    uint64_t requests, refused;    /* requests in all, and those answered with an error */
    uint64_t datagrams, dropped;   /* datagrams in all, and those nobody was told of: no member, wrong host */
    uint64_t messages, unaccepted; /* messages taken into a log; those too long, not text or over the rate */
    uint64_t events;               /* datagrams handed out by ocm_registry_next */
    uint32_t rooms, members;       /* now */
} ocm_counts;

/* The answer to a request. The first `first` bytes of out are to be sent at once, the rest up to len
   delay ms later. When `in` is set the asker is now a member, and ocm_registry_undo takes that back. */
typedef struct ocm_answer {
    uint8_t *out;      /* set by the caller: OCM_ANSWER_MAX bytes of its own */
    size_t first, len; /* bytes */
    uint32_t delay;    /* ms */
    int status;        /* as in the JSON form, whatever form was spoken */
    int op;            /* of the request */
    int success;       /* create or join succeeded: nothing more is answered on this connection */
    int in;            /* a membership was made */
    int close;         /* shut the sending side once out is sent, discard input for OCM_LINGER_MS, close */
    ocm_view room, name; /* what was asked for, for a log line; inside the caller's request buffer */
    uint8_t token[OCM_TOKEN_LEN]; /* of the member, when success */
} ocm_answer;

/* What to send to one member: a datagram of len bytes. With a train: as many as it takes, each of `each` bytes but the last, which may be
   shorter. The bytes are the registry's and stay as they are until its next function is called. */
typedef struct ocm_event {
    ocm_addr to;
    const uint8_t *ptr;
    size_t len, each;    /* bytes */
    const char *out;     /* why the member is out (this is its last datagram), or NULL */
    ocm_view room, name; /* of that member, for a log line; only with out */
    uint32_t member;     /* private */
} ocm_event;

/* ---- 3. Text ---- */

/* A C string as a view. */
OCM_API ocm_view ocm_text(const char *s);
/* 1 when both are the same bytes. */
OCM_API int ocm_view_equal(ocm_view a, ocm_view b);
/* Bytes of the UTF-8 character at p (1 to 4, its value in *c), 0 when it is malformed or cut off (RFC 3629). */
OCM_API int ocm_utf8_decode(const uint8_t *p, size_t len, uint32_t *c);
/* 1 when v may be a room name: 1 to 255 bytes of UTF-8 that no terminal and no reader can mistake. */
OCM_API int ocm_room_valid(ocm_view v);
/* 1 when v may be a user name: as a room name, not "system", and without a colon followed by a space. */
OCM_API int ocm_name_valid(ocm_view v);
/* 1 when v may be a message: UTF-8 without control characters but TAB; may be empty. */
OCM_API int ocm_message_valid(ocm_view v);
/* What a message counts against OCM_SPEECH_MAX: room name, and user name and text as JSON writes them. Bytes. */
OCM_API size_t ocm_speech_len(ocm_view room, ocm_view name, ocm_view text);
/* 1 when both are the same host: the same IP address (and scope, if link-local), or both loopback. */
OCM_API int ocm_same_host(const ocm_addr *a, const ocm_addr *b);

/* ---- 4. Wire ---- */

/* The decoders read no byte beyond len. The encoders write no byte beyond cap and return the bytes written, or OCM_E_SPACE. */

/* > 0 bytes consumed, 0 need more, OCM_E_LARGE when the header announces more than max bytes of payload
   (f->op and f->state are set then). */
OCM_API int ocm_frame_decode(const uint8_t *p, size_t len, size_t max, ocm_frame *f);
OCM_API int ocm_frame_encode(uint8_t *out, size_t cap, int op, int state, ocm_view room, ocm_view payload);

/* > 0 bytes consumed (all of them), OCM_E_BAD when it is shorter than its own lengths. */
OCM_API int ocm_datagram_decode(const uint8_t *p, size_t len, ocm_datagram *d);
OCM_API int ocm_datagram_encode(uint8_t *out, size_t cap, ocm_view room, ocm_view token, ocm_view payload);

/* One JSON object. 1 when it is one, OCM_E_BAD when not, or when a known key has a value of the wrong type.
   Texts point into json or, where they had escapes, into scratch: the caller's, json.len bytes. */
OCM_API int ocm_message_decode(ocm_view json, uint8_t *scratch, ocm_message *m);
/* Writes what has says, without a newline. */
OCM_API int ocm_message_encode(uint8_t *out, size_t cap, const ocm_message *m);

/* 1 when the frame is a request that can be tried, else OCM_E_BAD; op and form are set in either case.
   Texts point into the frame's payload or into scratch: the caller's, payload.len bytes. */
OCM_API int ocm_request_decode(const ocm_frame *f, uint8_t *scratch, ocm_request *q);
OCM_API int ocm_request_encode(uint8_t *out, size_t cap, const ocm_request *q);

/* A state-2 answer, of any form. 1 when understood, else OCM_E_BAD. Texts as in ocm_message_decode. */
OCM_API int ocm_outcome_decode(const ocm_frame *f, uint8_t *scratch, ocm_outcome *o);

/* One line of a list, without its newline: a room (size, password set) or a member (host set). */
typedef struct ocm_listed {
    ocm_view room, username;
    uint64_t size;
    int password, host, more; /* 0 or 1; more: the list was cut here */
} ocm_listed;
OCM_API int ocm_listed_decode(ocm_view json, uint8_t *scratch, ocm_listed *l);

/* Which of count servers (at least 1) has that room: rooms share nothing, so each may live elsewhere, and whoever knows the same names
   of the servers, in any order, knows where. Rendezvous hashing (Thaler and Ravishankar, 1998): one more server takes its share of the
   rooms from the others and moves no other. */
OCM_API size_t ocm_pick(const ocm_view *servers, size_t count, ocm_view room);

/* ---- 5. Registry ---- */

typedef struct ocm_registry ocm_registry;

/* 1000 rooms, 10000 members, 4 MiB of log, 300 s, 50 a second, no trains. */
OCM_API ocm_limits ocm_limits_default(void);
/* Bytes of memory that a registry needs. */
OCM_API size_t ocm_registry_size(const ocm_limits *l);
/* A registry in mem: ocm_registry_size bytes, all zero, aligned as calloc aligns; it stays the caller's and must outlive the
   registry. key: 16 random bytes, which keep strangers from choosing names that collide in the hash tables. */
OCM_API ocm_registry *ocm_registry_init(void *mem, const ocm_limits *l, const uint8_t key[16]);
OCM_API const ocm_counts *ocm_registry_counts(const ocm_registry *g);

/* Input: what has come so far on the TCP connection from `from`, and 16 fresh random bytes. > 0 bytes consumed and *a set,
   0 need more, OCM_E_AGAIN. */
OCM_API int ocm_registry_request(ocm_registry *g, const uint8_t *p, size_t len, const ocm_addr *from, uint64_t now,
                                 const uint8_t random[16], ocm_answer *a);
/* Input: the answer could not be delivered. Takes back the membership whose token it carries. 1, or OCM_E_AGAIN. */
OCM_API int ocm_registry_undo(ocm_registry *g, const uint8_t token[OCM_TOKEN_LEN]);
/* Input: a datagram; one of more than OCM_DATAGRAM_MAX bytes may be cut to OCM_DATAGRAM_MAX + 1.
   1 when it came from a member, 0 when dropped, OCM_E_AGAIN. */
OCM_API int ocm_registry_datagram(ocm_registry *g, const uint8_t *p, size_t len, const ocm_addr *from, uint64_t now);
/* Input: time has passed. Drops who has been silent too long. 1, or OCM_E_AGAIN: more are to go. */
OCM_API int ocm_registry_time(ocm_registry *g, uint64_t now);
/* When ocm_registry_time is due next, in ms of the same clock; UINT64_MAX when nobody is waiting. */
OCM_API uint64_t ocm_registry_deadline(const ocm_registry *g);
/* Input: the event just pulled could not be sent, for another reason than a full buffer. To be told before the next
   is pulled. Three in a row, over at least 10 s, end the membership (while the log is full, the next one after them). */
OCM_API void ocm_registry_failed(ocm_registry *g, const ocm_event *ev, uint64_t now);
/* Input: the server stops. Closes all rooms; drain to tell everyone. */
OCM_API void ocm_registry_stop(ocm_registry *g);

/* Output: what to send next. 1, or 0 when there is nothing. A program that cannot send now calls again later. */
OCM_API int ocm_registry_next(ocm_registry *g, ocm_event *ev);

/* ---- 6. Session ---- */

/* The client's half: one member of one room. The program carries bytes between it, a TCP connection, a UDP socket and the
   user. After each input it pulls: while (ocm_session_next(&s, now, &a)) do what a.what says. */

enum { OCM_EITHER = 0 }; /* with OCM_CREATE and OCM_JOIN: join, or create if there is no such room */

enum {
    OCM_DO_NOTHING, /* wait for input, at most until ocm_session_deadline */
    OCM_DO_CONNECT, /* connect to the server by TCP, anew if a connection is open; then ocm_session_request */
    OCM_DO_SEND,    /* send text as one datagram to the server */
    OCM_DO_SHOW,    /* kind says what */
    OCM_DO_END      /* it is over: kind says how */
};

enum {
    OCM_SHOW_IN,      /* the room is entered; status 201 created, 200 joined */
    OCM_SHOW_MESSAGE, /* text, said by who (empty: text says it); own: by this session */
    OCM_SHOW_NOTICE,  /* text, from the server */
    OCM_SHOW_REFUSED, /* own text was refused; who: the server's words, may be empty */
    OCM_SHOW_UNSURE,  /* of own text nobody knows whether it arrived */
    OCM_SHOW_MISSED,  /* count entries are lost for this session */
    OCM_SHOW_SILENT,  /* the server has not answered for 10 s; the session tries to come back */
    OCM_SHOW_BACK     /* the server is heard again */
};

enum {
    OCM_END_LEFT,        /* as asked, confirmed where the server confirms */
    OCM_END_OUT,         /* put out by the server: text says why; count messages are not confirmed */
    OCM_END_REFUSED,     /* the request was refused: status and text (may be empty) */
    OCM_END_NO_ANSWER,   /* no connection, or no answer in 5 s, or one that cannot be understood */
    OCM_END_UNCONFIRMED  /* left, but the server confirmed neither that nor `count` messages */
};

/* What to do. Its texts are valid until the next call for the same session. */
typedef struct ocm_action {
    int what, kind, own, status;
    ocm_view who, text;
    uint64_t count, seq;
} ocm_action;

typedef struct ocm_session ocm_session; /* about 1.3 MB, for what is under way: static or on the heap, not on the stack */

/* Starts a session: it will want to connect. want: OCM_CREATE, OCM_JOIN, OCM_EITHER. form: OCM_FORM_JSON, or OCM_FORM_TEXT, which
   knows no level 1. Everything is copied. 1, or OCM_E_BAD: not a room name, not a user name, or the password too long or not UTF-8. */
OCM_API int ocm_session_open(ocm_session *s, int want, int form, ocm_view room, ocm_view name, ocm_view password);
/* The connection is there, and the program receives datagrams at ip (as text) and port: the request, to be sent in one piece. */
OCM_API ocm_view ocm_session_request(ocm_session *s, ocm_view ip, uint16_t port, uint64_t now);
/* All that came on it so far. > 0 bytes consumed, 0 need more, < 0 the answer is no answer. */
OCM_API int ocm_session_answer(ocm_session *s, const uint8_t *p, size_t len, uint64_t now);
/* There is no connection, or it has ended. */
OCM_API void ocm_session_broken(ocm_session *s, uint64_t now);
/* A datagram came from the server's IP address. */
OCM_API void ocm_session_datagram(ocm_session *s, const uint8_t *p, size_t len, uint64_t now);
/* The user says one line. 1, OCM_E_LARGE (more than ocm_session_text_max), OCM_E_BAD (not text, or empty), OCM_E_AGAIN (not
   ocm_session_ready). */
OCM_API int ocm_session_say(ocm_session *s, ocm_view text);
/* The most bytes a line may have; a `"`, `\` or TAB counts as two. */
OCM_API size_t ocm_session_text_max(const ocm_session *s);
/* 1 while the session is in its room and OCM_WINDOW messages are not yet under way. */
OCM_API int ocm_session_ready(const ocm_session *s);
/* The user leaves, once all that was said is in the log. */
OCM_API void ocm_session_leave(ocm_session *s);
OCM_API int ocm_session_next(ocm_session *s, uint64_t now, ocm_action *a);
/* After ocm_session_next has returned 0: when to call it again if nothing else happens, UINT64_MAX for never. */
OCM_API uint64_t ocm_session_deadline(const ocm_session *s);

/* -- private: complete, so that a registry and a session are plain memory; their fields may change -- */

typedef struct ocmi_table { /* a chained hash table over slots that are numbered from 1 */
    uint32_t *head, *next;
    uint32_t mask;
} ocmi_table;

typedef struct ocmi_entry { /* one entry of the log; its JSON (ended by a newline) and its text follow */
    uint64_t seq;
    uint32_t room, life; /* life: which of the rooms that used this slot */
    uint32_t sender;     /* member slot, 0 = the server */
    uint32_t base;       /* of the room, as it was then */
    uint16_t units;      /* size, in OCMI_UNIT bytes */
    uint16_t json_len, text_len; /* no text where nobody in the room needed it */
} ocmi_entry;

#define OCMI_AHEAD 8 /* members that a fan-out fetches before it comes to them: one fetch takes as long as the work for several */

typedef struct ocmi_room { /* what a message needs comes first, in 128 bytes unless the name is long */
    uint64_t seq;   /* newest entry */
    uint64_t first; /* oldest entry held; seq + 1 when none is */
    uint64_t done;  /* every member has been sent all up to here */
    uint64_t round; /* what done becomes when cursor has passed the last member */
    uint32_t life;
    uint32_t base;      /* from the keyed hash of its name: entry seq is found at base + seq */
    uint32_t texts;     /* members that get entries as text */
    uint32_t next_busy; /* of the rooms with a round to go */
    uint32_t first_member, cursor;
    uint32_t recent[OCMI_AHEAD]; /* the last to join, in turn: a fan-out begins with them */
    uint8_t listed, locked, busy, turning, why;
    uint8_t head[2 + OCM_NAME_MAX]; /* how a datagram to a member begins: both lengths, then the name */
    uint32_t joined; /* so many ever did */
    uint32_t host, size;
    uint32_t prev, next; /* of the listed rooms */
    uint64_t password;   /* keyed hash of it */
} ocmi_room;

#define OCMI_NAME_SHORT 74 /* bytes */

typedef struct ocmi_member { /* what hearing needs comes first, in 128 bytes that a processor fetches together */
    ocm_addr addr;
    uint8_t token[OCM_TOKEN_LEN];
    uint64_t sent;             /* it has been sent the log up to here */
    uint32_t room, prev, next; /* of that room's members */
    uint32_t next_due;         /* of the members with something for them alone */
    uint32_t ahead;            /* the member that joined OCMI_AHEAD before it, maybe gone */
    uint8_t kind, why, notice, status, due, failures;
    uint8_t sends;             /* since the last failure */
    uint8_t name_len;
    uint64_t heard;            /* time of its last sign of life */
    uint32_t older, newer;     /* of all members, by heard */
    uint64_t spent;            /* rate: when its burst is whole again, in thousandths of a datagram */
    uint64_t taken;            /* last id taken */
    uint64_t asked, ask;       /* entries it wants again: bit i of asked stands for entry ask + i */
    uint64_t until;            /* once out: the last entry it is to get */
    uint64_t told, refused;    /* it has been told enough until then; the id that its notice is about, 0 = none */
    uint64_t failed;           /* time of the first failure in a row */
    uint32_t long_name;        /* the place of a longer name, 0 = it is in name */
    uint16_t name_json;        /* bytes of the name as JSON writes it */
    uint8_t name[OCMI_NAME_SHORT];
} ocmi_member;

enum { OCMI_LEVEL_1 = 3, OCMI_KINDS = 4 }; /* kind of a member: its form, or this */

/* What was last written for a member of one kind. In a fan-out it serves the next one, too: only the token differs. */
typedef struct ocmi_draft {
    uint8_t *bytes;
    size_t cap, len, each;
    size_t head;             /* bytes of the header, which ends with the token; 0 = there is none */
    uint64_t after, reached; /* it holds what is for whoever has the log up to `after`, up to here */
    uint32_t room;           /* 0 = it is of use to nobody else; it outlives no room, as who is told of its end is told in it */
    uint32_t except;         /* the member that said it and does not get it */
} ocmi_draft;

struct ocm_registry {
    ocm_counts counts;
    ocm_limits limits;
    uint8_t key[16];
    ocmi_room *room;     /* [1..rooms] */
    ocmi_member *member; /* [1..members] */
    uint8_t *long_name;  /* OCM_NAME_MAX bytes each, for one member in eight: few have such names, and they would be half of all memory */
    uint32_t *long_next; /* [1..long_names] */
    uint32_t long_names, long_top, long_free;
    uint8_t *log;
    ocmi_draft draft[OCMI_KINDS];
    ocmi_table rooms, tokens, names, entries;
    uint32_t log_units, log_head, log_tail, log_used; /* in OCMI_UNIT bytes */
    uint32_t room_top, room_free, member_top, member_free; /* slots ever used; list of those given back */
    uint32_t first_room, oldest, newest;
    uint32_t busy_head, busy_tail, due_head, due_tail;
};

typedef struct ocmi_timer { /* of something that is repeated until it is answered */
    uint64_t at; /* last time it was sent */
    unsigned tries;
} ocmi_timer;

typedef struct ocmi_said { /* one message under way */
    ocmi_timer timer;
    uint64_t id; /* 0 = not yet numbered */
    uint16_t len;
    uint8_t fate;
    uint8_t text[OCM_SPEECH_MAX];
} ocmi_said;

typedef struct ocmi_heard_entry { /* one entry of the log that is not yet shown */
    ocmi_timer timer; /* of asking for it */
    uint64_t seq;     /* which entry this place is kept for */
    uint16_t len;     /* 0 = not here */
    uint8_t json[OCM_DATAGRAM_MAX];
} ocmi_heard_entry;

struct ocm_session {
    int state, want, op, form, level, created, leaving, silent;
    int end_kind, status, show_in, show_back, gap; /* gap: entries were given up while messages were under way */
    uint8_t ack;                    /* the state-1 byte of the answer under way */
    uint64_t wake, asked;           /* ms; asked: since when something waits for an answer, 0 = nothing does */
    uint64_t retry, retry_wait;     /* when to ask by TCP again, and how long to wait after that */
    unsigned refusals;              /* of requests to come back, in a row */
    uint64_t idle, rtt, last_sent;  /* ms */
    ocmi_timer alive, leave;        /* keep-alive, leave */
    uint64_t alive_at;              /* when the next keep-alive is due */
    uint64_t joined, own_from;      /* seq of the last own notice, and of the first in this log; 0 = no log yet */
    uint64_t next, newest, first;   /* seq of the next to show, of the newest there is; all below first is lost */
    uint64_t missed;                /* entries given up, to be told */
    uint64_t known_seq, known_id;   /* when the log stood at known_seq, known_id was the last id taken */
    uint64_t log;                   /* which log it is */
    uint64_t renumber;              /* once all up to here is known, ids start again from 1; 0 = they run */
    size_t copy;                    /* bytes of out that are to be sent once more */
    uint64_t last_id, said_first;   /* said[said_first % OCM_WINDOW] is the oldest under way */
    size_t said_count, window;      /* window: how many of them may be on their way; less where much is lost */
    uint8_t room[OCM_NAME_MAX], name[OCM_NAME_MAX], password[OCM_NAME_MAX], token[OCM_TOKEN_MAX];
    uint8_t room_len, name_len, password_len, token_len;
    uint8_t why[256];               /* of the end, or of the last refusal */
    size_t why_len;
    uint8_t out[OCM_FRAME_MAX];     /* the request or datagram being sent */
    uint8_t scratch[OCM_DATAGRAM_MAX]; /* texts without their escapes */
    ocmi_said said[OCM_WINDOW];
    ocmi_heard_entry entry[OCM_AHEAD];
};

#endif /* OCM_H */

/* ======================================================================================================================== */

#ifdef OCM_IMPLEMENTATION
#ifndef OCM_IMPLEMENTED
#define OCM_IMPLEMENTED

#ifndef OCM_ASSERT
#include <assert.h>
#define OCM_ASSERT(x) assert(x)
#endif

/* Has memory begin to bring what is at p, so that it is there when it is needed; nothing else changes. A macro, as compilers leave out a
   function that does nothing else. */
#ifdef __GNUC__
#define OCMI_FETCH(p) __builtin_prefetch(p)
#else
#define OCMI_FETCH(p) (void)(p)
#endif
#define OCMI_FETCH_MEMBER(m) (OCMI_FETCH(m), OCMI_FETCH(&(m)->kind)) /* what a fan-out needs of it */

/* ---- 3. Text ---- */

OCM_API ocm_view ocm_text(const char *s)
{
    ocm_view v;
    v.ptr = (const uint8_t *)s;
    v.len = strlen(s);
    return v;
}

static ocm_view ocmi_view(const uint8_t *p, size_t len)
{
    ocm_view v;
    v.ptr = p;
    v.len = len;
    return v;
}

OCM_API int ocm_view_equal(ocm_view a, ocm_view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* The first byte is the lowest. Written out, it becomes one load. */
static inline uint64_t ocmi_load64(const uint8_t *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 | (uint64_t)p[4] << 32 |
           (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
}

/* How many bytes at p are plain: ASCII that is no control character and needs no escape in JSON. Most text is nothing else, and is
   passed over eight bytes at a time: in a sum or difference of bytes below 0x80 the high bit tells which byte was out of range, rightly
   up to the first of them. */
static size_t ocmi_plain(const uint8_t *p, size_t len)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    size_t i = 0;
    for (; i + 8 <= len; i += 8) {
        uint64_t x = ocmi_load64(p + i), quote = x ^ ones * '"', slash = x ^ ones * '\\';
        uint64_t other = (x | (x - ones * 0x20) | (x + ones) | (quote - ones) | (slash - ones)) & high;
        if (other) return i + (size_t)(((((other & (~other + 1)) - 1) & ones) * ones) >> 56) - 1; /* the bytes below the lowest bit */
    }
    while (i < len && p[i] >= 0x20 && p[i] < 0x7F && p[i] != '"' && p[i] != '\\') i++;
    return i;
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

static int ocmi_utf8_valid(ocm_view v)
{
    size_t i = 0;
    uint32_t c;
    while (i < v.len) {
        int n = ocm_utf8_decode(v.ptr + i, v.len - i, &c);
        if (n == 0) return 0;
        i += (size_t)n;
    }
    return 1;
}

static int ocmi_control(uint32_t c)
{
    return c < 0x20 || (c >= 0x7F && c <= 0x9F);
}

/* Names are shown beside other people's words: what could reorder or break a line is not for them. */
OCM_API int ocm_room_valid(ocm_view v)
{
    size_t i = 0;
    uint32_t c;
    if (v.len < 1 || v.len > OCM_NAME_MAX) return 0;
    while (i < v.len) {
        int n = ocm_utf8_decode(v.ptr + i, v.len - i, &c);
        if (n == 0 || ocmi_control(c)) return 0;
        if ((c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0x2028 || c == 0x2029) return 0;
        i += (size_t)n;
    }
    return 1;
}

OCM_API int ocm_name_valid(ocm_view v)
{
    size_t i;
    if (!ocm_room_valid(v) || ocm_view_equal(v, ocm_text("system"))) return 0;
    for (i = 0; i + 1 < v.len; i++)
        if (v.ptr[i] == ':' && v.ptr[i + 1] == ' ') return 0;
    return 1;
}

/* Whether v may be a message. *escaped: its length as JSON writes it. */
static int ocmi_message_valid(ocm_view v, size_t *escaped)
{
    size_t i;
    uint32_t c;
    *escaped = v.len;
    for (i = ocmi_plain(v.ptr, v.len); i < v.len; i += ocmi_plain(v.ptr + i, v.len - i)) {
        int n = ocm_utf8_decode(v.ptr + i, v.len - i, &c);
        if (n == 0 || (ocmi_control(c) && c != '\t')) return 0;
        if (c == '"' || c == '\\' || c == '\t') ++*escaped;
        i += (size_t)n;
    }
    return 1;
}

OCM_API int ocm_message_valid(ocm_view v)
{
    size_t escaped;
    return ocmi_message_valid(v, &escaped);
}

static size_t ocmi_escaped_len(ocm_view v)
{
    size_t i, n = v.len;
    for (i = ocmi_plain(v.ptr, v.len); i < v.len; i++)
        n += v.ptr[i] == '"' || v.ptr[i] == '\\' || v.ptr[i] == '\t';
    return n;
}

OCM_API size_t ocm_speech_len(ocm_view room, ocm_view name, ocm_view text)
{
    return room.len + ocmi_escaped_len(name) + ocmi_escaped_len(text);
}

static int ocmi_loopback(const uint8_t ip[16])
{
    static const uint8_t one[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    static const uint8_t mapped[13] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 127};
    return memcmp(ip, one, 16) == 0 || memcmp(ip, mapped, 13) == 0;
}

OCM_API int ocm_same_host(const ocm_addr *a, const ocm_addr *b)
{
    int link_local = a->ip[0] == 0xFE && (a->ip[1] & 0xC0) == 0x80;
    if (memcmp(a->ip, b->ip, 16) == 0) return !link_local || a->scope == b->scope;
    return ocmi_loopback(a->ip) && ocmi_loopback(b->ip);
}

static uint64_t ocmi_rotate(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static uint64_t ocmi_load_rest(const uint8_t *p, size_t len)
{
    uint64_t x = 0;
    while (len--) x = x << 8 | p[len];
    return x;
}

static void ocmi_sip_round(uint64_t v[4])
{
    v[0] += v[1], v[1] = ocmi_rotate(v[1], 13) ^ v[0], v[0] = ocmi_rotate(v[0], 32);
    v[2] += v[3], v[3] = ocmi_rotate(v[3], 16) ^ v[2];
    v[0] += v[3], v[3] = ocmi_rotate(v[3], 21) ^ v[0];
    v[2] += v[1], v[1] = ocmi_rotate(v[1], 17) ^ v[2], v[2] = ocmi_rotate(v[2], 32);
}

/* SipHash-2-4 (Aumasson and Bernstein, 2012): without the key nobody can find names that share a chain. */
static uint64_t ocmi_hash(const uint8_t key[16], ocm_view text)
{
    uint64_t k0 = ocmi_load64(key), k1 = ocmi_load64(key + 8), m;
    uint64_t v[4];
    size_t i, n = text.len;
    if (n == 0) text.ptr = key; /* nothing is read, but a view of nothing may have no address */
    v[0] = k0 ^ 0x736f6d6570736575u, v[1] = k1 ^ 0x646f72616e646f6du;
    v[2] = k0 ^ 0x6c7967656e657261u, v[3] = k1 ^ 0x7465646279746573u;
    for (i = 0;; i += 8) {
        m = n - i >= 8 ? ocmi_load64(text.ptr + i) : ocmi_load_rest(text.ptr + i, n - i) | (uint64_t)n << 56;
        v[3] ^= m;
        ocmi_sip_round(v), ocmi_sip_round(v);
        v[0] ^= m;
        if (n - i < 8) break;
    }
    v[2] ^= 0xff;
    ocmi_sip_round(v), ocmi_sip_round(v), ocmi_sip_round(v), ocmi_sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* Output that never overflows: what does not fit leaves `full` set, and the result is refused as a whole. */
typedef struct ocmi_out {
    uint8_t *ptr;
    size_t len, cap;
    int full;
} ocmi_out;

static ocmi_out ocmi_out_open(uint8_t *p, size_t cap)
{
    ocmi_out o;
    o.ptr = p;
    o.len = 0;
    o.cap = cap;
    o.full = 0;
    return o;
}

static int ocmi_out_close(const ocmi_out *o)
{
    return o->full ? OCM_E_SPACE : (int)o->len;
}

/* Where the next len bytes go; NULL when they do not fit. */
static inline uint8_t *ocmi_claim(ocmi_out *o, size_t len)
{
    if (len > o->cap - o->len) o->full = 1;
    if (o->full) return NULL;
    o->len += len;
    return o->ptr + o->len - len;
}

static inline void ocmi_put(ocmi_out *o, const void *p, size_t len)
{
    uint8_t *to = ocmi_claim(o, len);
    if (to && len) memcpy(to, p, len);
}

static inline void ocmi_put_byte(ocmi_out *o, int c)
{
    uint8_t *to = ocmi_claim(o, 1);
    if (to) *to = (uint8_t)c;
}

static void ocmi_put_view(ocmi_out *o, ocm_view v)
{
    ocmi_put(o, v.ptr, v.len);
}

static inline void ocmi_put_text(ocmi_out *o, const char *s)
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

static void ocmi_put_escape(ocmi_out *o, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
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

/* A JSON string with its quotes (RFC 8259, 7). */
static void ocmi_put_string(ocmi_out *o, ocm_view v)
{
    size_t i, from = 0;
    ocmi_put_byte(o, '"');
    for (i = ocmi_plain(v.ptr, v.len); i < v.len; i++) {
        uint8_t c = v.ptr[i];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        ocmi_put(o, v.ptr + from, i - from);
        ocmi_put_escape(o, c);
        from = i + 1;
    }
    if (from < v.len) ocmi_put(o, v.ptr + from, v.len - from);
    ocmi_put_byte(o, '"');
}

/* The members of an object: `{` or `,`, then "key": and the value. */
static inline void ocmi_put_key(ocmi_out *o, const char *key)
{
    size_t len = strlen(key);
    int first = o->len == 0 || o->ptr[o->len - 1] == '\n';
    uint8_t *to = ocmi_claim(o, len + 4);
    if (!to) return;
    to[0] = first ? '{' : ',';
    to[1] = to[len + 2] = '"';
    memcpy(to + 2, key, len);
    to[len + 3] = ':';
}

static inline void ocmi_put_text_member(ocmi_out *o, const char *key, ocm_view v)
{
    ocmi_put_key(o, key);
    ocmi_put_string(o, v);
}

static inline void ocmi_put_number_member(ocmi_out *o, const char *key, uint64_t n)
{
    ocmi_put_key(o, key);
    ocmi_put_number(o, n);
}

static void ocmi_put_bool_member(ocmi_out *o, const char *key, int yes)
{
    ocmi_put_key(o, key);
    ocmi_put_text(o, yes ? "true" : "false");
}

/* A strict JSON reader (RFC 8259). Each function reads one thing at *p, moves *p behind it, and returns 0 when it is not there. */

static void ocmi_json_space(const uint8_t **p, const uint8_t *end)
{
    while (*p < end && (**p == ' ' || **p == '\t' || **p == '\n' || **p == '\r')) ++*p;
}

static inline int ocmi_json_byte(const uint8_t **p, const uint8_t *end, int c)
{
    if (*p < end && **p <= ' ') ocmi_json_space(p, end);
    if (*p == end || **p != c) return 0;
    ++*p;
    return 1;
}

static int ocmi_hex4(const uint8_t *p, const uint8_t *end, uint32_t *c)
{
    int i;
    if (end - p < 4) return 0;
    for (*c = 0, i = 0; i < 4; i++) {
        uint32_t d = p[i], low = d | 0x20;
        if (d >= '0' && d <= '9') d -= '0';
        else if (low >= 'a' && low <= 'f') d = low - 'a' + 10;
        else return 0;
        *c = *c << 4 | d;
    }
    return 1;
}

/* What follows a backslash: one character, or two \u that are a surrogate pair. */
static int ocmi_json_escape(const uint8_t **p, const uint8_t *end, uint32_t *c)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at;
    uint32_t low;
    if (*p == end || **p == 0) return 0;
    if ((at = strchr(from, **p)) != NULL) {
        *c = (uint8_t)to[at - from];
        ++*p;
        return 1;
    }
    if (**p != 'u' || !ocmi_hex4(*p + 1, end, c)) return 0;
    *p += 5;
    if (*c < 0xD800 || *c > 0xDFFF) return 1;
    if (*c > 0xDBFF || end - *p < 2 || (*p)[0] != '\\' || (*p)[1] != 'u') return 0;
    if (!ocmi_hex4(*p + 2, end, &low) || low < 0xDC00 || low > 0xDFFF) return 0;
    *p += 6;
    *c = 0x10000 + ((*c - 0xD800) << 10 | (low - 0xDC00));
    return 1;
}

static size_t ocmi_utf8_encode(uint8_t *out, uint32_t c)
{
    static const uint8_t lead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4, i;
    for (i = n - 1; i > 0; i--) {
        out[i] = (uint8_t)(0x80 | (c & 0x3F));
        c >>= 6;
    }
    out[0] = (uint8_t)(lead[n] | c);
    return n;
}

enum { OCMI_ESCAPED, OCMI_AS_IS, OCMI_PLAIN }; /* a string with escapes, without, and one that is ocmi_plain altogether */

/* A string. *raw is what stands between the quotes. */
static int ocmi_json_string(const uint8_t **p, const uint8_t *end, ocm_view *raw, int *how)
{
    const uint8_t *at;
    uint32_t c;
    if (!ocmi_json_byte(p, end, '"')) return 0;
    raw->ptr = *p;
    at = *p + ocmi_plain(*p, (size_t)(end - *p));
    *how = at < end && *at == '"' ? OCMI_PLAIN : OCMI_AS_IS;
    for (; at < end && *at != '"'; at += ocmi_plain(at, (size_t)(end - at))) {
        if (*at == '\\') {
            *how = OCMI_ESCAPED;
            at++;
            if (!ocmi_json_escape(&at, end, &c)) return 0;
        } else {
            int n = *at < 0x20 ? 0 : ocm_utf8_decode(at, (size_t)(end - at), &c);
            if (n == 0) return 0;
            at += n;
        }
    }
    raw->len = (size_t)(at - raw->ptr);
    *p = at;
    return ocmi_json_byte(p, end, '"');
}

/* The text of a string that ocmi_json_string found good; never longer than raw. */
static size_t ocmi_json_unescape(ocm_view raw, uint8_t *out)
{
    const uint8_t *p = raw.ptr, *end = raw.ptr + raw.len;
    size_t n = 0;
    uint32_t c;
    while (p < end) {
        if (*p != '\\') {
            out[n++] = *p++;
        } else {
            p++;
            ocmi_json_escape(&p, end, &c);
            n += ocmi_utf8_encode(out + n, c);
        }
    }
    return n;
}

static size_t ocmi_json_digits(const uint8_t **p, const uint8_t *end)
{
    const uint8_t *from = *p;
    while (*p < end && **p >= '0' && **p <= '9') ++*p;
    return (size_t)(*p - from);
}

/* A number. *whole: it is written in digits only, its value is *n, and that is at most OCM_INTEGER_MAX. */
static int ocmi_json_number(const uint8_t **p, const uint8_t *end, uint64_t *n, int *whole)
{
    const uint8_t *from = *p;
    size_t digits, i;
    *n = 0;
    *whole = *p < end && **p != '-';
    if (!*whole && *p < end) from = ++*p;
    digits = ocmi_json_digits(p, end);
    if (digits == 0 || (digits > 1 && *from == '0')) return 0;
    for (i = 0; i < digits && i < 17; i++) *n = *n * 10 + (uint64_t)(from[i] - '0');
    if (digits > 16 || *n > OCM_INTEGER_MAX) *whole = 0;
    if (*p < end && **p == '.') {
        *whole = 0;
        ++*p;
        if (ocmi_json_digits(p, end) == 0) return 0;
    }
    if (*p < end && (**p == 'e' || **p == 'E')) {
        *whole = 0;
        ++*p;
        if (*p < end && (**p == '+' || **p == '-')) ++*p;
        if (ocmi_json_digits(p, end) == 0) return 0;
    }
    return 1;
}

static int ocmi_json_word(const uint8_t **p, const uint8_t *end, const char *word)
{
    size_t len = strlen(word);
    if ((size_t)(end - *p) < len || memcmp(*p, word, len) != 0) return 0;
    *p += len;
    return 1;
}

/* A value of any kind that nobody asked for, of at most `depth` levels of its own. */
static int ocmi_json_skip(const uint8_t **p, const uint8_t *end, int depth)
{
    ocm_view raw;
    uint64_t n;
    int open, close, ignored;
    ocmi_json_space(p, end);
    if (*p == end) return 0;
    open = **p;
    if (open == '"') return ocmi_json_string(p, end, &raw, &ignored);
    if (open == 't') return ocmi_json_word(p, end, "true");
    if (open == 'f') return ocmi_json_word(p, end, "false");
    if (open == 'n') return ocmi_json_word(p, end, "null");
    if (open != '{' && open != '[') return ocmi_json_number(p, end, &n, &ignored);
    if (depth == 0) return 0;
    close = open == '{' ? '}' : ']';
    ++*p;
    if (ocmi_json_byte(p, end, close)) return 1;
    do {
        if (open == '{' && (!ocmi_json_string(p, end, &raw, &ignored) || !ocmi_json_byte(p, end, ':'))) return 0;
        if (!ocmi_json_skip(p, end, depth - 1)) return 0;
    } while (ocmi_json_byte(p, end, ','));
    return ocmi_json_byte(p, end, close);
}

/* A member of an object that somebody asked for, and where in a struct its value goes. */
typedef struct ocmi_field {
    const char *key;
    size_t len;
    int type;
    size_t at;
} ocmi_field;

enum { OCMI_TEXT, OCMI_NUMBER, OCMI_FLAG }; /* type of a field: an ocm_view, a uint64_t, an int */

typedef struct ocmi_found { /* bit i: field i was there, and is a text that is plain */
    unsigned has, plain;
} ocmi_found;

#define OCMI_FIELD(key, type, into, member) {key, sizeof key - 1, type, offsetof(into, member)}

#define OCMI_DEPTH 32

static int ocmi_json_text(const uint8_t **p, const uint8_t *end, ocm_view *text, uint8_t **scratch, int *how)
{
    if (!ocmi_json_string(p, end, text, how)) return 0;
    if (*how != OCMI_ESCAPED) return 1;
    text->len = ocmi_json_unescape(*text, *scratch);
    text->ptr = *scratch;
    *scratch += text->len;
    return 1;
}

static int ocmi_json_flag(const uint8_t **p, const uint8_t *end, int *flag)
{
    *flag = *p < end && **p == 't';
    return ocmi_json_word(p, end, *flag ? "true" : "false");
}

static int ocmi_json_field(const uint8_t **p, const uint8_t *end, const ocmi_field *f, void *into, uint8_t **scratch, int *how)
{
    void *value = (uint8_t *)into + f->at;
    int whole;
    ocmi_json_space(p, end);
    if (f->type == OCMI_TEXT) return ocmi_json_text(p, end, (ocm_view *)value, scratch, how);
    if (f->type == OCMI_NUMBER) return ocmi_json_number(p, end, (uint64_t *)value, &whole) && whole;
    return ocmi_json_flag(p, end, (int *)value);
}

static size_t ocmi_field_find(const ocmi_field *f, size_t count, ocm_view key)
{
    size_t i;
    for (i = 0; i < count; i++)
        if (key.len == f[i].len && memcmp(key.ptr, f[i].key, key.len) == 0) break;
    return i;
}

/* A whole object into a struct. Of a key that comes twice the last value stays. */
static int ocmi_json_object(ocm_view json, const ocmi_field *f, size_t count, void *into, uint8_t *scratch, ocmi_found *found)
{
    const uint8_t *p = json.ptr, *end = json.ptr + json.len;
    uint8_t short_key[128]; /* an escaped key of more bytes is none of ours */
    ocm_view key;
    size_t i;
    int how;
    found->has = found->plain = 0;
    if (!ocmi_json_byte(&p, end, '{')) return OCM_E_BAD;
    if (!ocmi_json_byte(&p, end, '}')) {
        do {
            if (!ocmi_json_string(&p, end, &key, &how)) return OCM_E_BAD;
            if (how == OCMI_ESCAPED && key.len <= sizeof short_key) key = ocmi_view(short_key, ocmi_json_unescape(key, short_key));
            if (!ocmi_json_byte(&p, end, ':')) return OCM_E_BAD;
            i = ocmi_field_find(f, count, key);
            how = OCMI_AS_IS;
            if (i == count ? !ocmi_json_skip(&p, end, OCMI_DEPTH) : !ocmi_json_field(&p, end, &f[i], into, &scratch, &how))
                return OCM_E_BAD;
            if (i == count) continue;
            found->has |= 1u << i;
            if (how == OCMI_PLAIN) found->plain |= 1u << i;
            else found->plain &= ~(1u << i);
        } while (ocmi_json_byte(&p, end, ','));
        if (!ocmi_json_byte(&p, end, '}')) return OCM_E_BAD;
    }
    ocmi_json_space(&p, end);
    return p == end ? 1 : OCM_E_BAD;
}

/* ---- 4. Wire ---- */

OCM_API int ocm_frame_decode(const uint8_t *p, size_t len, size_t max, ocm_frame *f)
{
    uint64_t payload = 0;
    size_t room, i;
    if (len < OCM_HEADER_LEN) return 0;
    room = p[0];
    f->op = p[1];
    f->state = p[2];
    for (i = 3; i < OCM_HEADER_LEN; i++) {
        if (payload > max) return OCM_E_LARGE; /* before the next shift could lose a bit */
        payload = payload << 8 | p[i];
    }
    if (payload > max) return OCM_E_LARGE;
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
    for (i = 1; i <= 4; i++) head[OCM_HEADER_LEN - i] = (uint8_t)((uint64_t)payload_len >> (8 * (i - 1)));
    ocmi_put(o, head, sizeof head);
    ocmi_put_view(o, room);
}

OCM_API int ocm_frame_encode(uint8_t *out, size_t cap, int op, int state, ocm_view room, ocm_view payload)
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

OCM_API int ocm_datagram_encode(uint8_t *out, size_t cap, ocm_view room, ocm_view token, ocm_view payload)
{
    ocmi_out o = ocmi_out_open(out, cap < OCM_DATAGRAM_MAX ? cap : OCM_DATAGRAM_MAX);
    OCM_ASSERT(room.len <= OCM_NAME_MAX && token.len <= OCM_TOKEN_MAX);
    ocmi_put_byte(&o, (int)room.len);
    ocmi_put_byte(&o, (int)token.len);
    ocmi_put_view(&o, room);
    ocmi_put_view(&o, token);
    ocmi_put_view(&o, payload);
    return ocmi_out_close(&o);
}

/* *plain: which of the texts (OCM_HAS_) are plain. */
static int ocmi_message_decode(ocm_view json, uint8_t *scratch, ocm_message *m, unsigned *plain)
{
    static const ocmi_field f[] = {/* in the order of OCM_HAS_ */
        OCMI_FIELD("sender", OCMI_TEXT, ocm_message, sender), OCMI_FIELD("operation", OCMI_NUMBER, ocm_message, operation),
        OCMI_FIELD("username", OCMI_TEXT, ocm_message, username), OCMI_FIELD("message", OCMI_TEXT, ocm_message, text),
        OCMI_FIELD("seq", OCMI_NUMBER, ocm_message, seq), OCMI_FIELD("first", OCMI_NUMBER, ocm_message, first),
        OCMI_FIELD("id", OCMI_NUMBER, ocm_message, id), OCMI_FIELD("count", OCMI_NUMBER, ocm_message, count)};
    ocmi_found found;
    int result;
    memset(m, 0, sizeof *m);
    result = ocmi_json_object(json, f, 8, m, scratch, &found);
    m->has = found.has;
    *plain = found.plain;
    return result;
}

OCM_API int ocm_message_decode(ocm_view json, uint8_t *scratch, ocm_message *m)
{
    unsigned plain;
    return ocmi_message_decode(json, scratch, m, &plain);
}

static inline void ocmi_put_text_as_is(ocmi_out *o, const char *key, ocm_view v)
{
    uint8_t *to;
    ocmi_put_key(o, key);
    to = ocmi_claim(o, v.len + 2);
    if (!to) return;
    to[0] = to[v.len + 1] = '"';
    if (v.len) memcpy(to + 1, v.ptr, v.len);
}

/* Of the texts, those in as_is (OCM_HAS_) need no escapes. */
static void ocmi_put_message(ocmi_out *o, const ocm_message *m, unsigned as_is)
{
    if (m->has == 0) ocmi_put_byte(o, '{');
    if (m->has & as_is & OCM_HAS_SENDER) ocmi_put_text_as_is(o, "sender", m->sender);
    else if (m->has & OCM_HAS_SENDER) ocmi_put_text_member(o, "sender", m->sender);
    if (m->has & OCM_HAS_OPERATION) ocmi_put_number_member(o, "operation", m->operation);
    if (m->has & OCM_HAS_USERNAME) ocmi_put_text_member(o, "username", m->username);
    if (m->has & as_is & OCM_HAS_TEXT) ocmi_put_text_as_is(o, "message", m->text);
    else if (m->has & OCM_HAS_TEXT) ocmi_put_text_member(o, "message", m->text);
    if (m->has & OCM_HAS_SEQ) ocmi_put_number_member(o, "seq", m->seq);
    if (m->has & OCM_HAS_FIRST) ocmi_put_number_member(o, "first", m->first);
    if (m->has & OCM_HAS_ID) ocmi_put_number_member(o, "id", m->id);
    if (m->has & OCM_HAS_COUNT) ocmi_put_number_member(o, "count", m->count);
    ocmi_put_byte(o, '}');
}

OCM_API int ocm_message_encode(uint8_t *out, size_t cap, const ocm_message *m)
{
    ocmi_out o = ocmi_out_open(out, cap);
    ocmi_put_message(&o, m, 0);
    return ocmi_out_close(&o);
}

/* A payload that begins with a brace is JSON, unless seed A's state says that it is a name. */
static int ocmi_form(int state, ocm_view payload)
{
    if (state != OCM_STATE_ACK && payload.len > 0 && payload.ptr[0] == '{') return OCM_FORM_JSON;
    return state == OCM_STATE_REQUEST ? OCM_FORM_TEXT : OCM_FORM_SEED_A;
}

static int ocmi_request_json(ocm_view json, uint8_t *scratch, ocm_request *q)
{
    static const ocmi_field f[] = {
        OCMI_FIELD("port", OCMI_NUMBER, ocm_request, port), OCMI_FIELD("username", OCMI_TEXT, ocm_request, name),
        OCMI_FIELD("password", OCMI_TEXT, ocm_request, password), OCMI_FIELD("token", OCMI_TEXT, ocm_request, token),
        OCMI_FIELD("ip", OCMI_TEXT, ocm_request, ip), OCMI_FIELD("ocm", OCMI_NUMBER, ocm_request, level)};
    ocmi_found found;
    if (ocmi_json_object(json, f, 6, q, scratch, &found) < 0) return OCM_E_BAD;
    if (q->password.len > OCM_NAME_MAX) return OCM_E_BAD;
    if (found.has & 1 && (q->port < 1024 || q->port > 65535)) return OCM_E_BAD;
    return 1;
}

OCM_API int ocm_request_decode(const ocm_frame *f, uint8_t *scratch, ocm_request *q)
{
    memset(q, 0, sizeof *q);
    q->op = f->op;
    q->form = ocmi_form(f->state, f->payload);
    q->room = f->room;
    if (f->op < OCM_CREATE || f->op > OCM_LIST || f->state > OCM_STATE_DONE) return OCM_E_BAD;
    if (q->form != OCM_FORM_JSON) q->name = f->payload;
    else if (ocmi_request_json(f->payload, scratch, q) < 0) return OCM_E_BAD;
    if (q->op == OCM_LIST) return q->form == OCM_FORM_JSON && (q->room.len == 0 || ocm_room_valid(q->room)) ? 1 : OCM_E_BAD;
    return ocm_room_valid(q->room) && ocm_name_valid(q->name) ? 1 : OCM_E_BAD;
}

OCM_API int ocm_request_encode(uint8_t *out, size_t cap, const ocm_request *q)
{
    uint8_t json[OCM_PAYLOAD_MAX];
    ocmi_out o = ocmi_out_open(json, sizeof json);
    if (q->form != OCM_FORM_JSON)
        return ocm_frame_encode(out, cap, q->op, q->form == OCM_FORM_TEXT ? OCM_STATE_REQUEST : OCM_STATE_ACK, q->room, q->name);
    if (q->name.len) ocmi_put_text_member(&o, "username", q->name);
    if (q->op != OCM_LIST) ocmi_put_text_member(&o, "password", q->password);
    if (q->ip.len) ocmi_put_text_member(&o, "ip", q->ip);
    if (q->port) ocmi_put_number_member(&o, "port", q->port);
    if (q->level) ocmi_put_number_member(&o, "ocm", q->level);
    if (q->token.len) ocmi_put_text_member(&o, "token", q->token);
    ocmi_put_text(&o, o.len ? "}" : "{}");
    if (o.full) return OCM_E_SPACE;
    return ocm_frame_encode(out, cap, q->op, OCM_STATE_REQUEST, q->room, ocmi_view(json, o.len));
}

/* The text form's answer: a sentence or a token. */
static int ocmi_outcome_text(ocm_view v, ocm_outcome *o)
{
    const ocm_view error = ocm_text("error: ");
    if (v.len >= error.len && memcmp(v.ptr, error.ptr, error.len) == 0) {
        o->status = 400;
        o->why = ocmi_view(v.ptr + error.len, v.len - error.len);
        return 1;
    }
    o->status = 200;
    o->token = v;
    return v.len >= 1 && v.len <= OCM_TOKEN_MAX ? 1 : OCM_E_BAD;
}

OCM_API int ocm_outcome_decode(const ocm_frame *f, uint8_t *scratch, ocm_outcome *o)
{
    static const ocmi_field number[] = {{"status", 6, OCMI_NUMBER, 0}, {"status_code", 11, OCMI_NUMBER, 0}};
    static const ocmi_field words[] = {
        OCMI_FIELD("message", OCMI_TEXT, ocm_outcome, why), OCMI_FIELD("token", OCMI_TEXT, ocm_outcome, token),
        OCMI_FIELD("user_token", OCMI_TEXT, ocm_outcome, token), OCMI_FIELD("ocm", OCMI_NUMBER, ocm_outcome, level),
        OCMI_FIELD("idle", OCMI_NUMBER, ocm_outcome, idle), OCMI_FIELD("seq", OCMI_NUMBER, ocm_outcome, seq),
        OCMI_FIELD("log", OCMI_NUMBER, ocm_outcome, log)};
    uint64_t status = 0;
    ocmi_found found;
    memset(o, 0, sizeof *o);
    if (f->payload.len == 0 || f->payload.ptr[0] != '{') return ocmi_outcome_text(f->payload, o);
    if (ocmi_json_object(f->payload, number, 2, &status, scratch, &found) < 0 || status < 200 || status > 599) return OCM_E_BAD;
    o->status = (int)status; /* first: a refusal of seed A's has null for a token */
    if (ocmi_json_object(f->payload, words, status < 300 ? 7 : 1, o, scratch, &found) < 0) return OCM_E_BAD;
    return status >= 300 || (o->token.len >= 1 && o->token.len <= OCM_TOKEN_MAX) ? 1 : OCM_E_BAD;
}

OCM_API int ocm_listed_decode(ocm_view json, uint8_t *scratch, ocm_listed *l)
{
    static const ocmi_field f[] = {
        OCMI_FIELD("room", OCMI_TEXT, ocm_listed, room), OCMI_FIELD("username", OCMI_TEXT, ocm_listed, username),
        OCMI_FIELD("size", OCMI_NUMBER, ocm_listed, size), OCMI_FIELD("password_required", OCMI_FLAG, ocm_listed, password),
        OCMI_FIELD("host", OCMI_FLAG, ocm_listed, host), OCMI_FIELD("more", OCMI_FLAG, ocm_listed, more)};
    ocmi_found found;
    memset(l, 0, sizeof *l);
    return ocmi_json_object(json, f, 6, l, scratch, &found);
}

OCM_API size_t ocm_pick(const ocm_view *servers, size_t count, ocm_view room)
{
    uint8_t key[16] = {0};
    uint64_t best = 0;
    size_t i, k, pick = 0;
    OCM_ASSERT(count > 0);
    for (i = 0; i < count; i++) {
        uint64_t score = ocmi_hash(key, servers[i]);
        uint8_t own[16] = {0}; /* the hash of a server's name is the key under which it hashes the room */
        for (k = 0; k < 8; k++) own[k] = (uint8_t)(score >> (8 * k));
        score = ocmi_hash(own, room);
        if (i == 0 || score > best) best = score, pick = i;
    }
    return pick;
}

/* ---- 5. Registry: memory ---- */

#define OCMI_UNIT 32u /* bytes: entries of the log begin at multiples of it */
#define OCMI_ENTRY_MAX 8192u /* bytes that no entry exceeds: OCM_SPEECH_MAX bounds its JSON and its text */
#define OCMI_ENTRY_UNITS (OCMI_ENTRY_MAX / OCMI_UNIT)
#define OCMI_LOG_MIN 65536u

static uint32_t *ocmi_table_at(const ocmi_table *t, uint64_t hash)
{
    return &t->head[(uint32_t)(hash >> 32) & t->mask];
}

static void ocmi_table_add(ocmi_table *t, uint64_t hash, uint32_t slot)
{
    uint32_t *at = ocmi_table_at(t, hash);
    t->next[slot] = *at;
    *at = slot;
}

static void ocmi_table_remove(ocmi_table *t, uint64_t hash, uint32_t slot)
{
    uint32_t *at = ocmi_table_at(t, hash);
    while (*at != slot) at = &t->next[*at];
    *at = t->next[slot];
}

static size_t ocmi_aligned(size_t n)
{
    return (n + 127) & ~(size_t)127;
}

/* The next `bytes` of the block; NULL while only the size is asked for. */
static void *ocmi_carve(uint8_t *mem, size_t *at, size_t bytes)
{
    size_t from = *at;
    *at = ocmi_aligned(from + bytes);
    return mem ? mem + from : NULL;
}

static void ocmi_carve_table(ocmi_table *t, uint8_t *mem, size_t *at, uint32_t slots)
{
    uint32_t heads = 1;
    while (heads < slots) heads *= 2;
    t->head = (uint32_t *)ocmi_carve(mem, at, sizeof(uint32_t) * heads);
    t->next = (uint32_t *)ocmi_carve(mem, at, sizeof(uint32_t) * ((size_t)slots + 1));
    t->mask = heads - 1;
}

/* The one place that knows how the block is divided: with mem NULL it only adds up. */
static size_t ocmi_layout(ocm_registry *g, uint8_t *mem)
{
    size_t at = ocmi_aligned(sizeof *g), kind;
    uint32_t log = g->limits.log < OCMI_LOG_MIN ? OCMI_LOG_MIN : g->limits.log;
    if (mem) mem += ocmi_aligned((uintptr_t)mem) - (uintptr_t)mem;
    OCM_ASSERT(g->limits.rooms > 0 && g->limits.members > 0 && g->limits.idle > 0);
    OCM_ASSERT(log <= 1u << 30 && g->limits.train <= 32);
    OCM_ASSERT((size_t)g->limits.rooms < SIZE_MAX / 4096 && g->limits.rooms < 1u << 30);
    OCM_ASSERT((size_t)g->limits.members < SIZE_MAX / 4096 && g->limits.members < 1u << 30);
    g->log_units = log / OCMI_UNIT;
    g->room = (ocmi_room *)ocmi_carve(mem, &at, sizeof(ocmi_room) * ((size_t)g->limits.rooms + 1));
    g->member = (ocmi_member *)ocmi_carve(mem, &at, sizeof(ocmi_member) * ((size_t)g->limits.members + 1));
    g->long_names = g->limits.members / 8 + 8;
    g->long_name = (uint8_t *)ocmi_carve(mem, &at, OCM_NAME_MAX * ((size_t)g->long_names + 1));
    g->long_next = (uint32_t *)ocmi_carve(mem, &at, sizeof(uint32_t) * ((size_t)g->long_names + 1));
    g->log = (uint8_t *)ocmi_carve(mem, &at, (size_t)g->log_units * OCMI_UNIT);
    for (kind = 0; kind < OCMI_KINDS; kind++) {
        ocmi_draft *d = &g->draft[kind];
        d->cap = kind == OCMI_LEVEL_1 && g->limits.train > 3 ? (size_t)g->limits.train * OCM_BATCH_MAX : OCM_DATAGRAM_MAX;
        d->bytes = (uint8_t *)ocmi_carve(mem, &at, d->cap);
    }
    ocmi_carve_table(&g->rooms, mem, &at, g->limits.rooms);
    ocmi_carve_table(&g->tokens, mem, &at, g->limits.members);
    ocmi_carve_table(&g->names, mem, &at, g->limits.members);
    ocmi_carve_table(&g->entries, mem, &at, g->log_units);
    return at + 127; /* mem may begin anywhere */
}

OCM_API ocm_limits ocm_limits_default(void)
{
    ocm_limits l;
    l.rooms = 1000;
    l.members = 10000;
    l.log = 4u << 20;
    l.idle = 300;
    l.rate = 50;
    l.train = 1;
    return l;
}

OCM_API size_t ocm_registry_size(const ocm_limits *l)
{
    ocm_registry g;
    memset(&g, 0, sizeof g);
    g.limits = *l;
    return ocmi_layout(&g, NULL);
}

OCM_API ocm_registry *ocm_registry_init(void *mem, const ocm_limits *l, const uint8_t key[16])
{
    ocm_registry *g = (ocm_registry *)mem;
    OCM_ASSERT(mem != NULL);
    g->limits = *l;
    memcpy(g->key, key, 16);
    ocmi_layout(g, (uint8_t *)mem);
    return g;
}

OCM_API const ocm_counts *ocm_registry_counts(const ocm_registry *g)
{
    return &g->counts;
}

/* A slot: one given back, else the next never used, so that memory is touched only as it is needed; 0 = full. */
static uint32_t ocmi_slot(uint32_t *free_list, uint32_t *top, uint32_t limit, const uint32_t *next)
{
    uint32_t slot = *free_list;
    if (slot) *free_list = *next;
    else if (*top < limit) slot = ++*top;
    return slot;
}

/* ---- 5. Registry: the log ---- */

static ocmi_entry *ocmi_entry_at(const ocm_registry *g, uint32_t unit)
{
    return (ocmi_entry *)(void *)(g->log + (size_t)unit * OCMI_UNIT);
}

/* The entries of a room follow one another in the table, as they are used. Where they begin nobody can tell, so nobody can make
   chains long with rooms that begin at one place. */
static uint64_t ocmi_entry_hash(uint32_t base, uint64_t seq)
{
    return (base + seq) << 32;
}

/* Entry seq of a room, NULL when it is overwritten or yet to come. */
static inline const ocmi_entry *ocmi_entry_find(const ocm_registry *g, uint32_t room, uint64_t seq)
{
    const ocmi_room *r = &g->room[room];
    uint32_t slot = *ocmi_table_at(&g->entries, ocmi_entry_hash(r->base, seq));
    for (; slot; slot = g->entries.next[slot]) {
        const ocmi_entry *e = ocmi_entry_at(g, slot - 1);
        if (e->seq == seq && e->room == room && e->life == r->life) return e;
    }
    return NULL;
}

/* Gives up the oldest entry of the whole log. 0 when somebody is still to be sent it. */
static int ocmi_log_evict(ocm_registry *g)
{
    ocmi_entry *e = ocmi_entry_at(g, g->log_tail);
    ocmi_room *r = &g->room[e->room];
    if (e->room) { /* else it only fills the end of the ring */
        if (r->life == e->life) {
            if (e->seq > r->done) return 0;
            r->first = e->seq + 1;
        }
        ocmi_table_remove(&g->entries, ocmi_entry_hash(e->base, e->seq), g->log_tail + 1);
    }
    g->log_used -= e->units;
    g->log_tail += e->units;
    if (g->log_tail == g->log_units) g->log_tail = 0;
    return 1;
}

/* Makes room for one entry of any size, in one piece. 0 when the log is full of what is still to be sent. */
static int ocmi_log_reserve(ocm_registry *g)
{
    uint32_t end = g->log_units - g->log_head, fill = end < OCMI_ENTRY_UNITS ? end : 0;
    while (g->log_units - g->log_used < fill + OCMI_ENTRY_UNITS)
        if (!ocmi_log_evict(g)) return 0;
    if (fill) {
        ocmi_entry *e = ocmi_entry_at(g, g->log_head);
        e->room = 0;
        e->units = (uint16_t)fill;
        g->log_used += fill;
        g->log_head = 0;
    }
    return 1;
}

static void ocmi_busy(ocm_registry *g, uint32_t room)
{
    ocmi_room *r = &g->room[room];
    if (r->busy) return;
    r->busy = 1;
    r->turning = 0;
    r->next_busy = 0;
    if (g->busy_tail) g->room[g->busy_tail].next_busy = room;
    else g->busy_head = room;
    g->busy_tail = room;
}

static void ocmi_put_words(ocmi_out *o, const ocm_message *m)
{
    ocmi_put_view(o, m->sender);
    ocmi_put_text(o, ": ");
    ocmi_put_view(o, m->text);
}

/* Writes m as the room's next entry; as_is as in ocmi_put_message. After ocmi_log_reserve it cannot fail. */
static void ocmi_log_add(ocm_registry *g, uint32_t room, uint32_t sender, ocm_message *m, unsigned as_is)
{
    ocmi_room *r = &g->room[room];
    ocmi_entry *e = ocmi_entry_at(g, g->log_head);
    ocmi_out o = ocmi_out_open((uint8_t *)e + sizeof *e, OCMI_ENTRY_MAX - sizeof *e);
    OCM_ASSERT(g->log_units - g->log_used >= OCMI_ENTRY_UNITS);
    m->seq = ++r->seq;
    m->has |= OCM_HAS_SEQ;
    ocmi_put_message(&o, m, as_is);
    ocmi_put_byte(&o, '\n');
    e->json_len = (uint16_t)o.len;
    if (r->texts) ocmi_put_words(&o, m);
    OCM_ASSERT(!o.full);
    e->text_len = (uint16_t)(o.len - e->json_len);
    e->seq = m->seq;
    e->room = room;
    e->life = r->life;
    e->sender = sender;
    e->units = (uint16_t)((sizeof *e + o.len + OCMI_UNIT - 1) / OCMI_UNIT);
    e->base = r->base;
    ocmi_table_add(&g->entries, ocmi_entry_hash(e->base, e->seq), g->log_head + 1);
    g->log_used += e->units;
    g->log_head += e->units;
    if (g->log_head == g->log_units) g->log_head = 0;
    OCMI_FETCH(ocmi_entry_at(g, g->log_tail)); /* the next to be given up: nobody has looked at it since it was written */
    ocmi_busy(g, room);
}

/* ---- 5. Registry: rooms and members ---- */

enum { OCMI_IN = 0, OCMI_WENT, OCMI_SILENT, OCMI_UNREACHABLE, OCMI_HOST_LEFT, OCMI_STOPPED, OCMI_UNDONE, OCMI_GONE };

static const char *ocmi_why_out(int why)
{
    static const char *const words[] = {"", "you left", "timed out", "you could not be reached",
                                        "the host left", "the server is stopping", "the connection broke"};
    return words[why];
}

static const char *ocmi_why_left(int why)
{
    if (why == OCMI_SILENT) return " left: timed out";
    if (why == OCMI_UNREACHABLE) return " left: could not be reached";
    if (why == OCMI_UNDONE) return " left: the connection broke";
    return " left";
}

static ocm_view ocmi_room_name(const ocmi_room *r)
{
    return ocmi_view(r->head + 2, r->head[0]);
}

static ocm_view ocmi_member_name(const ocm_registry *g, const ocmi_member *m)
{
    return ocmi_view(m->long_name ? g->long_name + (size_t)m->long_name * OCM_NAME_MAX : m->name, m->name_len);
}

/* A number for this room's log that no other log of this or another server is likely to have. */
static uint64_t ocmi_room_log(const ocm_registry *g, uint32_t room)
{
    uint64_t log = ocmi_hash(g->key, ocmi_room_name(&g->room[room])) + ((uint64_t)g->room[room].life << 32 | room);
    return log % OCM_INTEGER_MAX + 1;
}

static uint64_t ocmi_name_hash(const ocm_registry *g, uint32_t room, ocm_view name)
{
    return ocmi_hash(g->key, name) ^ (uint64_t)room * 0x9E3779B97F4A7C15u;
}

/* Tokens are random and made here, so nobody can choose some that share a chain, and they need no key. */
static uint64_t ocmi_token_hash(const uint8_t *token)
{
    uint64_t x = (ocmi_load64(token) * 0x9E3779B97F4A7C15u) ^ ocmi_load64(token + 8);
    return (x ^ x >> 32) * 0x9E3779B97F4A7C15u;
}

/* Takes the same time wherever they differ. */
static int ocmi_token_equal(const uint8_t *a, const uint8_t *b)
{
    uint64_t differ = 0;
    int i;
    for (i = 0; i < OCM_TOKEN_LEN; i += 8) differ |= ocmi_load64(a + i) ^ ocmi_load64(b + i);
    return differ == 0;
}

static uint32_t ocmi_room_find(const ocm_registry *g, ocm_view name)
{
    uint32_t slot = *ocmi_table_at(&g->rooms, ocmi_hash(g->key, name));
    while (slot && !ocm_view_equal(ocmi_room_name(&g->room[slot]), name)) slot = g->rooms.next[slot];
    return slot;
}

static uint32_t ocmi_name_find(const ocm_registry *g, uint32_t room, ocm_view name)
{
    uint32_t slot = *ocmi_table_at(&g->names, ocmi_name_hash(g, room, name));
    while (slot && (g->member[slot].room != room || !ocm_view_equal(ocmi_member_name(g, &g->member[slot]), name)))
        slot = g->names.next[slot];
    return slot;
}

/* The member with that token, while it is in: not one whose room has closed. */
static uint32_t ocmi_token_find(const ocm_registry *g, ocm_view token)
{
    uint32_t slot;
    if (token.len != OCM_TOKEN_LEN) return 0;
    slot = *ocmi_table_at(&g->tokens, ocmi_token_hash(token.ptr));
    while (slot && !ocmi_token_equal(g->member[slot].token, token.ptr)) slot = g->tokens.next[slot];
    return slot && g->room[g->member[slot].room].listed ? slot : 0;
}

static uint32_t ocmi_room_open(ocm_registry *g, ocm_view name, ocm_view password)
{
    uint32_t slot = ocmi_slot(&g->room_free, &g->room_top, g->limits.rooms, &g->room[g->room_free].next);
    ocmi_room *r = &g->room[slot];
    uint32_t life = r->life + 1;
    uint64_t hash = ocmi_hash(g->key, name);
    if (!slot) return 0;
    memset(r, 0, sizeof *r);
    r->life = life;
    r->first = 1;
    r->listed = 1;
    r->locked = password.len > 0;
    r->base = (uint32_t)hash + life * 0x9E3779B9u; /* another one in each life */
    r->password = password.len ? ocmi_hash(g->key, password) : 0;
    r->head[0] = (uint8_t)name.len;
    r->head[1] = OCM_TOKEN_LEN;
    memcpy(r->head + 2, name.ptr, name.len);
    ocmi_table_add(&g->rooms, hash, slot);
    r->next = g->first_room;
    if (r->next) g->room[r->next].prev = slot;
    g->first_room = slot;
    g->counts.rooms++;
    return slot;
}

/* From now on nobody finds the room, and a new one may have its name. Its members are told as they are pulled. */
static void ocmi_room_close(ocm_registry *g, uint32_t room, int why)
{
    ocmi_room *r = &g->room[room];
    r->listed = 0;
    r->why = (uint8_t)why;
    ocmi_table_remove(&g->rooms, ocmi_hash(g->key, ocmi_room_name(r)), room);
    if (r->prev) g->room[r->prev].next = r->next;
    else g->first_room = r->next;
    if (r->next) g->room[r->next].prev = r->prev;
    g->counts.rooms--;
    ocmi_busy(g, room);
    r->turning = 0; /* a round that was under way begins again: those it has passed are to be told, too */
}

/* The last member has been told: what the log still holds of the room belongs to nobody. */
static void ocmi_room_free(ocm_registry *g, uint32_t room)
{
    ocmi_room *r = &g->room[room];
    r->life++;
    r->next = g->room_free;
    g->room_free = room;
}

static void ocmi_idle_remove(ocm_registry *g, uint32_t slot)
{
    ocmi_member *m = &g->member[slot];
    if (m->older) g->member[m->older].newer = m->newer;
    else g->oldest = m->newer;
    if (m->newer) g->member[m->newer].older = m->older;
    else g->newest = m->older;
}

/* All members wait equally long, so the order in which they were heard is the order in which they time out. */
static void ocmi_idle_add(ocm_registry *g, uint32_t slot, uint64_t now)
{
    ocmi_member *m = &g->member[slot];
    m->heard = now;
    m->older = g->newest;
    m->newer = 0;
    if (g->newest) g->member[g->newest].newer = slot;
    else g->oldest = slot;
    g->newest = slot;
}

static void ocmi_heard(ocm_registry *g, uint32_t slot, const ocm_addr *from, uint64_t now)
{
    g->member[slot].addr = *from;
    ocmi_idle_remove(g, slot);
    ocmi_idle_add(g, slot, now);
}

/* Queues a member that is to be sent something for itself alone. */
static void ocmi_due(ocm_registry *g, uint32_t slot)
{
    ocmi_member *m = &g->member[slot];
    if (m->due) return;
    m->due = 1;
    m->next_due = 0;
    if (g->due_tail) g->member[g->due_tail].next_due = slot;
    else g->due_head = slot;
    g->due_tail = slot;
}

static void ocmi_tell(ocm_registry *g, uint32_t slot, int operation, const char *rest)
{
    uint8_t words[OCM_NAME_MAX + 64];
    ocmi_member *m = &g->member[slot];
    ocmi_out o = ocmi_out_open(words, sizeof words);
    ocm_message n;
    memset(&n, 0, sizeof n);
    ocmi_put_view(&o, ocmi_member_name(g, m));
    ocmi_put_text(&o, rest);
    n.has = OCM_HAS_SENDER | OCM_HAS_OPERATION | OCM_HAS_USERNAME | OCM_HAS_TEXT;
    n.sender = ocm_text("system");
    n.operation = (uint64_t)operation;
    n.username = ocmi_member_name(g, m);
    n.text = ocmi_view(words, o.len);
    ocmi_log_add(g, m->room, 0, &n, 0);
}

static int ocmi_member_fits(const ocm_registry *g, ocm_view name)
{
    if (!g->member_free && g->member_top == g->limits.members) return 0;
    return name.len <= OCMI_NAME_SHORT || g->long_free || g->long_top < g->long_names;
}

static void ocmi_name_set(ocm_registry *g, ocmi_member *m, ocm_view name)
{
    m->name_len = (uint8_t)name.len;
    m->name_json = (uint16_t)ocmi_escaped_len(name);
    if (name.len > OCMI_NAME_SHORT) {
        m->long_name = ocmi_slot(&g->long_free, &g->long_top, g->long_names, &g->long_next[g->long_free]);
        OCM_ASSERT(m->long_name != 0);
    }
    memcpy(m->long_name ? g->long_name + (size_t)m->long_name * OCM_NAME_MAX : m->name, name.ptr, name.len);
}

static void ocmi_token_make(uint8_t token[OCM_TOKEN_LEN], const uint8_t random[16])
{
    static const char hex[] = "0123456789abcdef";
    int i;
    for (i = 0; i < 16; i++) {
        token[2 * i] = (uint8_t)hex[random[i] >> 4];
        token[2 * i + 1] = (uint8_t)hex[random[i] & 15];
    }
}

static int ocmi_gets_text(const ocmi_member *m)
{
    return m->kind == OCM_FORM_TEXT || m->kind == OCM_FORM_SEED_A;
}

/* A new member of a room; its own notice is in the log, but not for itself. Needs ocmi_member_fits. */
static uint32_t ocmi_member_add(ocm_registry *g, uint32_t room, const ocm_request *q, const ocm_addr *at, uint64_t now,
                                const uint8_t random[16])
{
    uint32_t slot = ocmi_slot(&g->member_free, &g->member_top, g->limits.members, &g->member[g->member_free].next);
    ocmi_member *m = &g->member[slot];
    ocmi_room *r = &g->room[room];
    OCM_ASSERT(slot != 0);
    memset(m, 0, sizeof *m);
    m->addr = *at;
    m->room = room;
    m->kind = (uint8_t)(q->level ? (int)OCMI_LEVEL_1 : q->form);
    r->texts += (uint32_t)ocmi_gets_text(m);
    ocmi_name_set(g, m, q->name);
    ocmi_token_make(m->token, random);
    ocmi_table_add(&g->tokens, ocmi_token_hash(m->token), slot);
    ocmi_table_add(&g->names, ocmi_name_hash(g, room, q->name), slot);
    ocmi_idle_add(g, slot, now);
    m->next = r->first_member;
    if (m->next) g->member[m->next].prev = slot;
    r->first_member = slot;
    m->ahead = r->recent[r->joined % OCMI_AHEAD];
    r->recent[r->joined++ % OCMI_AHEAD] = slot;
    r->size++;
    g->counts.members++;
    ocmi_tell(g, slot, OCM_JOINED, " joined");
    m->sent = r->seq;
    return slot;
}

/* The membership is over: name and token are free, nothing counts any more. The slot stays until the member is told. */
static void ocmi_member_forget(ocm_registry *g, uint32_t slot, int why)
{
    ocmi_member *m = &g->member[slot];
    if (m->why) return;
    m->why = (uint8_t)why;
    m->until = g->room[m->room].seq;
    m->asked = 0;
    m->status = m->notice = 0;
    ocmi_table_remove(&g->tokens, ocmi_token_hash(m->token), slot);
    ocmi_table_remove(&g->names, ocmi_name_hash(g, m->room, ocmi_member_name(g, m)), slot);
    ocmi_idle_remove(g, slot);
    g->room[m->room].size--;
    g->counts.members--;
}

/* Ends a membership, the host's with its room. Needs ocmi_log_reserve. */
static void ocmi_member_end(ocm_registry *g, uint32_t slot, int why)
{
    ocmi_room *r = &g->room[g->member[slot].room];
    ocmi_member_forget(g, slot, r->listed ? why : r->why);
    if (!r->listed) return;
    if (r->host == slot) {
        ocmi_room_close(g, g->member[slot].room, OCMI_HOST_LEFT);
    } else {
        ocmi_due(g, slot);
        ocmi_tell(g, slot, OCM_LEFT, ocmi_why_left(why));
    }
}

/* The slot may be used again; what it holds stays as it is until then, as an event may point there. */
static void ocmi_member_give_back(ocm_registry *g, uint32_t slot)
{
    ocmi_member *m = &g->member[slot];
    m->next = g->member_free;
    g->member_free = slot;
    if (!m->long_name) return;
    g->long_next[m->long_name] = g->long_free;
    g->long_free = m->long_name;
}

/* Told and forgotten: out of its room's list, and the last one ends the room. */
static void ocmi_member_free(ocm_registry *g, uint32_t slot)
{
    ocmi_member *m = &g->member[slot];
    ocmi_room *r = &g->room[m->room];
    if (m->prev) g->member[m->prev].next = m->next;
    else r->first_member = m->next;
    if (m->next) g->member[m->next].prev = m->prev;
    if (r->cursor == slot) r->cursor = m->next;
    r->texts -= (uint32_t)ocmi_gets_text(m);
    m->why = OCMI_GONE;
    if (!m->due) ocmi_member_give_back(g, slot); /* else the queue holds it; it is given back as it comes up there */
}

/* One datagram of its rate. 0 when it has none left. */
static int ocmi_rate(const ocm_registry *g, ocmi_member *m, uint64_t now)
{
    uint64_t at = now * g->limits.rate; /* thousandths of a datagram that the clock has brought */
    if (g->limits.rate == 0) return 1;
    if (m->spent < at) m->spent = at;
    if (m->spent + 1000 > at + 2000u * (uint64_t)g->limits.rate) return 0;
    m->spent += 1000;
    return 1;
}

/* ---- 5. Registry: output ---- */

/* Begins what is to be sent to a member: with the header, in the forms that have one. */
static inline ocmi_out ocmi_draft_open(ocm_registry *g, uint32_t slot)
{
    const ocmi_member *m = &g->member[slot];
    const ocmi_room *r = &g->room[m->room];
    ocmi_draft *d = &g->draft[m->kind];
    ocmi_out o = ocmi_out_open(d->bytes, d->cap);
    d->room = 0;
    if (m->kind != OCM_FORM_TEXT) {
        ocmi_put(&o, r->head, 2u + r->head[0]);
        ocmi_put(&o, m->token, OCM_TOKEN_LEN);
    }
    d->head = o.len;
    return o;
}

static void ocmi_draft_close(ocmi_draft *d, const ocmi_out *o, size_t each)
{
    OCM_ASSERT(!o->full);
    d->len = o->len;
    d->each = each;
}

/* For a member of level 1: all entries after `at`, up to last, that a train can hold. The first datagram sets its length; those between it
   and the last are filled up with newlines. */
static void ocmi_draft_batch(ocm_registry *g, uint32_t slot, uint64_t at, uint64_t last)
{
    const uint32_t room = g->member[slot].room;
    ocmi_draft *d = &g->draft[OCMI_LEVEL_1];
    ocmi_out o = ocmi_draft_open(g, slot);
    size_t begin = 0, limit = OCM_BATCH_MAX; /* of the datagram being filled */
    uint32_t count = 1;
    d->after = at;
    for (; at < last; at++) {
        const ocmi_entry *e = ocmi_entry_find(g, room, at + 1);
        size_t used = o.len - begin;
        if (!e) continue;
        if (used > d->head && used + e->json_len > limit) {
            if (begin == 0) limit = used;
            if (count++ >= g->limits.train || limit > OCM_BATCH_MAX || d->head + e->json_len > limit) break;
            while (o.len - begin < limit) ocmi_put_byte(&o, '\n');
            begin = o.len;
            ocmi_put(&o, d->bytes, d->head);
        }
        ocmi_put(&o, (const uint8_t *)e + sizeof *e, e->json_len);
    }
    d->room = room;
    d->reached = at;
    ocmi_draft_close(d, &o, begin ? limit : o.len);
}

/* For any other member: one entry, in its own form. */
static void ocmi_draft_entry(ocm_registry *g, uint32_t slot, const ocmi_entry *e)
{
    const ocmi_member *m = &g->member[slot];
    const uint8_t *p = (const uint8_t *)e + sizeof *e;
    ocmi_draft *d = &g->draft[m->kind];
    ocmi_out o = ocmi_draft_open(g, slot);
    if (ocmi_gets_text(m)) ocmi_put(&o, p + e->json_len, e->text_len);
    else ocmi_put(&o, p, e->json_len - 1u); /* without its newline */
    d->room = m->room;
    d->except = e->sender;
    d->after = e->seq - 1;
    d->reached = e->seq;
    ocmi_draft_close(d, &o, o.len);
}

static int ocmi_draft_serves(const ocmi_draft *d, uint32_t slot, uint32_t room, uint64_t at, uint64_t last)
{
    return d->room == room && d->after == at && d->reached <= last && d->except != slot;
}

static inline void ocmi_draft_readdress(ocmi_draft *d, const ocmi_member *m)
{
    size_t at;
    for (at = d->head; d->head && at < d->len; at += d->each) memcpy(d->bytes + at - OCM_TOKEN_LEN, m->token, OCM_TOKEN_LEN);
}

/* The next entry after *at, up to last, that the member did not say itself; NULL when there is none. Moves *at behind it. */
static const ocmi_entry *ocmi_entry_next(const ocm_registry *g, uint32_t slot, uint64_t *at, uint64_t last)
{
    while (*at < last) {
        const ocmi_entry *e = ocmi_entry_find(g, g->member[slot].room, ++*at);
        if (e && e->sender != slot) return e;
    }
    return NULL;
}

/* The member's draft as an event. */
static inline int ocmi_event(ocm_registry *g, uint32_t slot, ocm_event *ev)
{
    ocmi_member *m = &g->member[slot];
    const ocmi_draft *d = &g->draft[m->kind];
    ev->to = m->addr;
    ev->ptr = d->bytes;
    ev->len = d->len;
    ev->each = d->each;
    ev->out = NULL;
    ev->member = slot;
    if (m->failures && m->sends < 2) m->sends++;
    return 1;
}

/* Of the entries after *at, up to last: one that the member does not have of itself, or as many as fit. Moves *at. */
static int ocmi_deliver(ocm_registry *g, uint32_t slot, uint64_t *at, uint64_t last, ocm_event *ev)
{
    const ocmi_member *m = &g->member[slot];
    ocmi_draft *d = &g->draft[m->kind];
    if (*at >= last) return 0;
    if (ocmi_draft_serves(d, slot, m->room, *at, last)) {
        ocmi_draft_readdress(d, m);
    } else if (m->kind == OCMI_LEVEL_1) {
        ocmi_draft_batch(g, slot, *at, last);
    } else {
        const ocmi_entry *e = ocmi_entry_next(g, slot, at, last);
        if (!e) return 0;
        ocmi_draft_entry(g, slot, e);
    }
    *at = d->reached;
    return d->len > d->head && ocmi_event(g, slot, ev);
}

/* A message from the server to this member alone, in its own form. */
static int ocmi_event_own(ocm_registry *g, uint32_t slot, const ocm_message *n, ocm_event *ev)
{
    const ocmi_member *m = &g->member[slot];
    ocmi_out o = ocmi_draft_open(g, slot);
    ocmi_out text = ocmi_out_open(o.ptr + o.len, o.cap - o.len); /* of its own: an object begins with a brace, whatever stands before */
    if (ocmi_gets_text(m)) ocmi_put_words(&text, n);
    else ocmi_put_message(&text, n, 0);
    if (m->kind == OCMI_LEVEL_1) ocmi_put_byte(&text, '\n');
    OCM_ASSERT(!text.full);
    o.len += text.len;
    ocmi_draft_close(&g->draft[m->kind], &o, o.len);
    return ocmi_event(g, slot, ev);
}

static ocm_message ocmi_own(int operation, unsigned has)
{
    ocm_message n;
    memset(&n, 0, sizeof n);
    n.sender = ocm_text("system");
    n.operation = (uint64_t)operation;
    n.has = OCM_HAS_SENDER | OCM_HAS_OPERATION | has;
    return n;
}

static int ocmi_event_status(ocm_registry *g, uint32_t slot, ocm_event *ev)
{
    ocmi_member *m = &g->member[slot];
    ocm_message n = ocmi_own(OCM_STATUS, OCM_HAS_SEQ | OCM_HAS_FIRST | OCM_HAS_ID);
    n.seq = g->room[m->room].seq;
    n.first = g->room[m->room].first;
    n.id = m->taken;
    m->status = 0;
    return ocmi_event_own(g, slot, &n, ev);
}

static int ocmi_event_notice(ocm_registry *g, uint32_t slot, ocm_event *ev)
{
    static const char *const words[] = {"", "your message was not sent: it is too long", "your message was not sent: it is not text",
                                        "your message was not sent: you send too fast"};
    ocmi_member *m = &g->member[slot];
    ocm_message n = ocmi_own(OCM_NOTICE, OCM_HAS_USERNAME | OCM_HAS_TEXT);
    n.username = ocmi_member_name(g, m);
    n.text = ocm_text(words[m->notice]);
    n.id = m->refused;
    if (n.id) n.has |= OCM_HAS_ID;
    m->notice = 0;
    return ocmi_event_own(g, slot, &n, ev);
}

/* The last datagram of a membership. One that was never answered is not told of its end. */
static int ocmi_event_out(ocm_registry *g, uint32_t slot, ocm_event *ev)
{
    ocmi_member *m = &g->member[slot];
    uint8_t words[128];
    ocmi_out o = ocmi_out_open(words, sizeof words);
    ocm_message n = ocmi_own(OCM_OUT, OCM_HAS_USERNAME | OCM_HAS_TEXT);
    int why = m->why;
    ocmi_put_text(&o, "You have been disconnected: ");
    ocmi_put_text(&o, ocmi_why_out(why));
    n.username = ocmi_member_name(g, m);
    n.text = ocmi_view(words, o.len);
    ocmi_event_own(g, slot, &n, ev);
    ev->out = ocmi_why_out(why);
    ev->room = ocmi_room_name(&g->room[m->room]);
    ev->name = ocmi_member_name(g, m);
    ocmi_member_free(g, slot);
    return why != OCMI_UNDONE;
}

/* The next run of entries that it asked for and that are still held. */
static int ocmi_deliver_again(ocm_registry *g, uint32_t slot, ocm_event *ev)
{
    ocmi_member *m = &g->member[slot];
    int any = 0;
    while (m->asked && !any) {
        uint64_t at, run = 0;
        for (; !(m->asked & 1); m->asked >>= 1) m->ask++;
        while (run < OCM_WINDOW && m->asked >> run & 1) run++;
        at = m->ask - 1;
        any = ocmi_deliver(g, slot, &at, at + run, ev);
        run = at + 1 - m->ask;
        m->asked = run < OCM_WINDOW ? m->asked >> run : 0;
        m->ask += run;
    }
    return any;
}

/* The most frequent case, at a glance: the log has nothing new for it, and nothing is for it alone. */
static int ocmi_member_done(const ocmi_room *r, const ocmi_member *m)
{
    return m->sent == r->seq && r->listed && !m->due;
}

/* The next datagram for one member: what its room's log has for it, what it asked for, what concerns it alone. */
static int ocmi_member_next(ocm_registry *g, uint32_t slot, ocm_event *ev)
{
    ocmi_member *m = &g->member[slot];
    ocmi_room *r = &g->room[m->room];
    if (m->why == OCMI_GONE) return 0;
    if (ocmi_member_done(r, m)) return 0;
    if (!r->listed) ocmi_member_forget(g, slot, r->why);
    if (ocmi_deliver(g, slot, &m->sent, m->why ? m->until : r->seq, ev)) return 1;
    if (m->asked && ocmi_deliver_again(g, slot, ev)) return 1;
    if (m->status) return ocmi_event_status(g, slot, ev);
    if (m->notice) return ocmi_event_notice(g, slot, ev);
    return m->why ? ocmi_event_out(g, slot, ev) : 0;
}

/* A round: every member of the room gets what the log had for it when the round began. */
static int ocmi_room_next(ocm_registry *g, uint32_t room, ocm_event *ev)
{
    ocmi_room *r = &g->room[room];
    do {
        if (!r->turning) {
            r->turning = 1;
            r->round = r->seq;
            r->cursor = r->first_member;
        }
        while (r->cursor) {
            uint32_t slot = r->cursor;
            int any = ocmi_member_next(g, slot, ev);
            if (r->cursor == slot && (!any || ocmi_member_done(r, &g->member[slot]))) r->cursor = g->member[slot].next;
            if (any) return 1;
        }
        r->turning = 0;
        r->done = r->round;
    } while (r->done < r->seq);
    return 0;
}

static int ocmi_due_next(ocm_registry *g, ocm_event *ev)
{
    while (g->due_head) {
        uint32_t slot = g->due_head;
        ocmi_member *m = &g->member[slot];
        if (ocmi_member_next(g, slot, ev)) return 1;
        g->due_head = m->next_due;
        if (!g->due_head) g->due_tail = 0;
        m->due = 0;
        if (m->why == OCMI_GONE) ocmi_member_give_back(g, slot);
    }
    return 0;
}

static int ocmi_busy_next(ocm_registry *g, ocm_event *ev)
{
    while (g->busy_head) {
        uint32_t room = g->busy_head;
        ocmi_room *r = &g->room[room];
        if (ocmi_room_next(g, room, ev)) return 1;
        g->busy_head = r->next_busy;
        if (!g->busy_head) g->busy_tail = 0;
        r->busy = 0;
        if (!r->listed) ocmi_room_free(g, room);
    }
    return 0;
}

/* The usual step of a fan-out: the next member of the round gets what the one before it got, and who said it is passed over. 0 when that
   is not all. Nobody is due here, so in a room that is open nobody is on the way out. */
static inline int ocmi_fan_out(ocm_registry *g, ocm_event *ev)
{
    ocmi_room *r = &g->room[g->busy_head];
    uint32_t slot;
    while ((slot = r->cursor) != 0 && r->listed) {
        ocmi_member *m = &g->member[slot];
        ocmi_draft *d = &g->draft[m->kind];
        if (d->room != g->busy_head || d->after != m->sent || d->reached != r->seq) return 0;
        m->sent = r->seq;
        r->cursor = m->next;
        OCMI_FETCH_MEMBER(&g->member[m->ahead]);
        if (d->except == slot) continue;
        ocmi_draft_readdress(d, m);
        return ocmi_event(g, slot, ev);
    }
    return 0;
}

OCM_API int ocm_registry_next(ocm_registry *g, ocm_event *ev)
{
    if ((g->due_head || !ocmi_fan_out(g, ev)) && !ocmi_due_next(g, ev) && !ocmi_busy_next(g, ev)) return 0;
    g->counts.events += ev->len > ev->each ? (ev->len + ev->each - 1) / ev->each : 1;
    return 1;
}

/* ---- 5. Registry: requests ---- */

enum { OCMI_CREATED, OCMI_JOINED, OCMI_BAD, OCMI_PASSWORD, OCMI_NO_ROOM, OCMI_EXISTS, OCMI_TAKEN, OCMI_LARGE, OCMI_FULL };

typedef struct ocmi_result {
    int status, text, seed_a;
    const char *words;
} ocmi_result;

static const ocmi_result *ocmi_result_of(int outcome)
{
    static const ocmi_result table[] = {
        {201, 0, 200, "created"},
        {200, 0, 200, "joined"},
        {400, 4, 400, "malformed request, or not a name"},
        {401, 3, 400, "wrong password"},
        {404, 2, 404, "no such room"},
        {409, 1, 400, "the room exists already"},
        {409, 6, 400, "the user name is taken in this room"},
        {413, 4, 400, "the payload is too large"},
        {503, 5, 400, "the server is full"},
    };
    return &table[outcome];
}

/* The state-1 answer. */
static void ocmi_put_ack(ocmi_out *o, const ocm_request *q, const ocmi_result *result)
{
    static const char words[] = "{\"status\":202,\"message\":\"the request has arrived\"}";
    const ocm_view none = {NULL, 0};
    ocmi_put_frame(o, q->op, OCM_STATE_ACK, none, q->form == OCM_FORM_JSON ? sizeof words - 1 : 1);
    if (q->form == OCM_FORM_JSON) ocmi_put_text(o, words);
    else ocmi_put_byte(o, q->form == OCM_FORM_TEXT ? result->text : 200);
}

static void ocmi_put_json_outcome(ocm_registry *g, ocmi_out *o, const ocmi_result *result, uint32_t slot)
{
    const ocmi_member *m = &g->member[slot];
    ocmi_put_number_member(o, "status", (uint64_t)result->status);
    ocmi_put_text_member(o, "message", ocm_text(result->words));
    if (slot) ocmi_put_text_member(o, "token", ocmi_view(m->token, OCM_TOKEN_LEN));
    if (slot && m->kind == OCMI_LEVEL_1) {
        ocmi_put_number_member(o, "ocm", 1);
        ocmi_put_number_member(o, "idle", g->limits.idle);
        ocmi_put_number_member(o, "seq", g->room[m->room].seq);
        ocmi_put_number_member(o, "log", ocmi_room_log(g, m->room));
    }
    ocmi_put_byte(o, '}');
}

/* The payload of the state-2 answer. slot: the member it is about, 0 for a refusal. */
static void ocmi_put_outcome(ocm_registry *g, ocmi_out *o, int form, const ocmi_result *result, uint32_t slot)
{
    if (form == OCM_FORM_JSON) {
        ocmi_put_json_outcome(g, o, result, slot);
    } else if (form == OCM_FORM_TEXT) {
        ocmi_put_text(o, slot ? "" : "error: ");
        if (slot) ocmi_put(o, g->member[slot].token, OCM_TOKEN_LEN);
        else ocmi_put_text(o, result->words);
    } else {
        ocmi_put_number_member(o, "status_code", (uint64_t)result->seed_a);
        if (slot) ocmi_put_text_member(o, "user_token", ocmi_view(g->member[slot].token, OCM_TOKEN_LEN));
        else ocmi_put_text(o, ",\"user_token\":null");
        ocmi_put_byte(o, '}');
    }
}

/* Both answers: seed A's and the text client take whatever one recv() returns for one answer, so theirs lie apart; the
   delay after a wrong password slows down who tries them all. */
static void ocmi_answer(ocm_registry *g, const ocm_request *q, int outcome, uint32_t slot, ocm_answer *a)
{
    const ocmi_result *result = ocmi_result_of(outcome);
    const ocm_view none = {NULL, 0};
    uint8_t payload[512];
    ocmi_out p = ocmi_out_open(payload, sizeof payload), o = ocmi_out_open(a->out, OCM_ANSWER_MAX);
    if (q->op != OCM_LIST || q->form != OCM_FORM_JSON) ocmi_put_ack(&o, q, result);
    a->first = o.len;
    ocmi_put_outcome(g, &p, q->form, result, slot);
    ocmi_put_frame(&o, q->op, OCM_STATE_DONE, slot && q->form != OCM_FORM_JSON ? q->room : none, p.len);
    ocmi_put(&o, payload, p.len);
    OCM_ASSERT(!p.full && !o.full);
    a->len = o.len;
    a->delay = q->form != OCM_FORM_JSON ? 100 : outcome == OCMI_PASSWORD ? 1000 : 0;
    if (a->delay == 0) a->first = a->len;
    a->status = result->status;
    a->success = slot != 0;
    if (slot) memcpy(a->token, g->member[slot].token, OCM_TOKEN_LEN);
    else g->counts.refused++;
}

/* One line of a list. 0 when the list is full: then it ends where there was still room to say so. */
static int ocmi_list_line(ocmi_out *o, const ocmi_out *line, size_t *cut)
{
    static const char more[] = "{\"more\":true}\n";
    OCM_ASSERT(!line->full);
    if (o->len + line->len <= OCM_LIST_MAX) {
        ocmi_put(o, line->ptr, line->len);
        if (o->len + sizeof more - 1 <= OCM_LIST_MAX) *cut = o->len;
        return 1;
    }
    o->len = *cut;
    ocmi_put_text(o, more);
    return 0;
}

static void ocmi_list_rooms(const ocm_registry *g, ocmi_out *o)
{
    uint8_t line[2 * OCM_NAME_MAX + 128];
    uint32_t room;
    size_t cut = 0;
    for (room = g->first_room; room; room = g->room[room].next) {
        const ocmi_room *r = &g->room[room];
        ocmi_out l = ocmi_out_open(line, sizeof line);
        ocmi_put_text_member(&l, "room", ocmi_room_name(r));
        ocmi_put_number_member(&l, "size", r->size);
        ocmi_put_bool_member(&l, "password_required", r->locked);
        ocmi_put_text(&l, "}\n");
        if (!ocmi_list_line(o, &l, &cut)) break;
    }
}

static void ocmi_list_members(const ocm_registry *g, uint32_t room, ocmi_out *o)
{
    uint8_t line[2 * OCM_NAME_MAX + 128];
    uint32_t slot;
    size_t cut = 0;
    if (g->room[room].locked) return;
    for (slot = g->room[room].first_member; slot; slot = g->member[slot].next) {
        ocmi_out l = ocmi_out_open(line, sizeof line);
        if (g->member[slot].why) continue;
        ocmi_put_text_member(&l, "username", ocmi_member_name(g, &g->member[slot]));
        ocmi_put_bool_member(&l, "host", g->room[room].host == slot);
        ocmi_put_text(&l, "}\n");
        if (!ocmi_list_line(o, &l, &cut)) break;
    }
}

static void ocmi_list(ocm_registry *g, const ocm_request *q, ocm_answer *a)
{
    uint32_t room = q->room.len ? ocmi_room_find(g, q->room) : 0;
    const ocm_view none = {NULL, 0};
    ocmi_out head = ocmi_out_open(a->out, OCM_HEADER_LEN);
    ocmi_out o = ocmi_out_open(a->out + OCM_HEADER_LEN, OCM_LIST_MAX);
    if (q->room.len && !room) {
        ocmi_answer(g, q, OCMI_NO_ROOM, 0, a);
        return;
    }
    if (room) ocmi_list_members(g, room, &o);
    else ocmi_list_rooms(g, &o);
    ocmi_put_frame(&head, OCM_LIST, OCM_STATE_DONE, none, o.len);
    a->first = a->len = OCM_HEADER_LEN + o.len;
    a->status = 200;
}

/* A member comes back with its token: it keeps its place, from wherever it asks now. */
static uint32_t ocmi_come_back(ocm_registry *g, uint32_t room, const ocm_request *q, const ocm_addr *at, uint64_t now)
{
    uint32_t slot = q->level ? ocmi_token_find(g, q->token) : 0;
    ocmi_member *m = &g->member[slot];
    if (!slot || m->kind != OCMI_LEVEL_1 || m->room != room || !ocm_view_equal(ocmi_member_name(g, m), q->name)) return 0;
    ocmi_heard(g, slot, at, now);
    m->taken = m->asked = 0;
    m->notice = m->failures = m->sends = 0; /* what was said of the old ids and the old address */
    return slot;
}

static int ocmi_create(ocm_registry *g, const ocm_request *q, const ocm_addr *at, uint64_t now, const uint8_t random[16],
                       uint32_t *slot)
{
    uint32_t room;
    if (ocmi_room_find(g, q->room)) return OCMI_EXISTS;
    if (!ocmi_member_fits(g, q->name)) return OCMI_FULL;
    room = ocmi_room_open(g, q->room, q->password);
    if (!room) return OCMI_FULL;
    *slot = ocmi_member_add(g, room, q, at, now, random);
    g->room[room].host = *slot;
    return OCMI_CREATED;
}

static int ocmi_join(ocm_registry *g, const ocm_request *q, const ocm_addr *at, uint64_t now, const uint8_t random[16],
                     uint32_t *slot, int *back)
{
    uint32_t room = ocmi_room_find(g, q->room);
    if (!room) return OCMI_NO_ROOM;
    *slot = ocmi_come_back(g, room, q, at, now);
    *back = *slot != 0;
    if (*slot) return OCMI_JOINED;
    if (g->room[room].locked && g->room[room].password != ocmi_hash(g->key, q->password)) return OCMI_PASSWORD;
    if (ocmi_name_find(g, room, q->name)) return OCMI_TAKEN;
    if (!ocmi_member_fits(g, q->name)) return OCMI_FULL;
    *slot = ocmi_member_add(g, room, q, at, now, random);
    return OCMI_JOINED;
}

/* A request too large to be read: once its first payload byte has come, its form is known, and it is answered. */
static int ocmi_request_large(ocm_registry *g, const uint8_t *p, size_t len, ocm_answer *a)
{
    size_t head = OCM_HEADER_LEN + (size_t)p[0];
    ocm_request q;
    if (len <= head) return 0;
    memset(&q, 0, sizeof q);
    q.op = p[1];
    q.form = ocmi_form(p[2], ocmi_view(p + head, 1));
    g->counts.requests++;
    ocmi_answer(g, &q, OCMI_LARGE, 0, a);
    a->op = q.op;
    a->close = 1;
    return (int)len;
}

static void ocmi_request(ocm_registry *g, const ocm_request *q, const ocm_addr *from, uint64_t now, const uint8_t random[16],
                         ocm_answer *a)
{
    ocm_addr at = *from;
    uint32_t slot = 0;
    int outcome, back = 0;
    if (q->port) at.port = (uint16_t)q->port;
    if (q->op == OCM_CREATE) outcome = ocmi_create(g, q, &at, now, random, &slot);
    else outcome = ocmi_join(g, q, &at, now, random, &slot, &back);
    ocmi_answer(g, q, outcome, slot, a);
    a->in = slot && !back;
}

OCM_API int ocm_registry_request(ocm_registry *g, const uint8_t *p, size_t len, const ocm_addr *from, uint64_t now,
                                 const uint8_t random[16], ocm_answer *a)
{
    uint8_t *out = a->out, scratch[OCM_PAYLOAD_MAX];
    ocm_request q;
    ocm_frame f;
    int used = ocm_frame_decode(p, len, OCM_PAYLOAD_MAX, &f), good;
    memset(a, 0, sizeof *a);
    a->out = out;
    if (used == OCM_E_LARGE) return ocmi_request_large(g, p, len, a);
    if (used <= 0) return used;
    if (!ocmi_log_reserve(g)) return OCM_E_AGAIN;
    good = ocm_request_decode(&f, scratch, &q) > 0;
    a->op = f.op;
    g->counts.requests++;
    if (!good) ocmi_answer(g, &q, OCMI_BAD, 0, a);
    else if (q.op == OCM_LIST) ocmi_list(g, &q, a);
    else ocmi_request(g, &q, from, now, random, a);
    if (good) a->room = f.room;
    if (good && q.name.ptr >= f.payload.ptr && q.name.ptr < f.payload.ptr + f.payload.len) a->name = q.name;
    return used;
}

OCM_API int ocm_registry_undo(ocm_registry *g, const uint8_t token[OCM_TOKEN_LEN])
{
    uint32_t slot = ocmi_token_find(g, ocmi_view(token, OCM_TOKEN_LEN));
    if (!slot) return 1;
    if (!ocmi_log_reserve(g)) return OCM_E_AGAIN;
    ocmi_member_end(g, slot, OCMI_UNDONE);
    return 1;
}

/* ---- 5. Registry: datagrams and time ---- */

enum { OCMI_TOO_LONG = 1, OCMI_NO_TEXT = 2, OCMI_TOO_FAST = 3 };

/* Tells the sender, at most once a second, that its message was refused. */
static void ocmi_refuse(ocm_registry *g, uint32_t slot, int notice, uint64_t id, uint64_t now)
{
    ocmi_member *m = &g->member[slot];
    g->counts.unaccepted++;
    if (now < m->told) return;
    m->told = now + 1000;
    m->notice = (uint8_t)notice;
    m->refused = id;
    ocmi_due(g, slot);
}

static void ocmi_status(ocm_registry *g, uint32_t slot)
{
    if (g->member[slot].kind != OCMI_LEVEL_1) return;
    g->member[slot].status = 1;
    ocmi_due(g, slot);
}

/* plain: the text is a message, and JSON writes it as it is. */
static void ocmi_speak(ocm_registry *g, uint32_t slot, ocm_view text, int plain, uint64_t id, uint64_t now)
{
    ocmi_member *m = &g->member[slot];
    size_t escaped = text.len;
    ocm_message n;
    if (!plain && !ocmi_message_valid(text, &escaped)) {
        ocmi_refuse(g, slot, OCMI_NO_TEXT, id, now);
        return;
    }
    if (g->room[m->room].head[0] + m->name_json + escaped > OCM_SPEECH_MAX) {
        ocmi_refuse(g, slot, OCMI_TOO_LONG, id, now);
        return;
    }
    n.has = OCM_HAS_SENDER | OCM_HAS_TEXT | (id ? (unsigned)OCM_HAS_ID : 0u);
    n.sender = ocmi_member_name(g, m);
    n.text = text;
    n.id = id;
    ocmi_log_add(g, m->room, slot, &n,
                 (m->name_json == m->name_len ? (unsigned)OCM_HAS_SENDER : 0u) | (escaped == text.len ? (unsigned)OCM_HAS_TEXT : 0u));
    g->counts.messages++;
}

/* Ids are taken in their order, each once: a repeated one is answered with what stands, a later one waits for its turn. */
static void ocmi_say(ocm_registry *g, uint32_t slot, ocm_view text, int plain, uint64_t id, uint64_t now)
{
    ocmi_member *m = &g->member[slot];
    if (text.len == 0) {
        ocmi_status(g, slot);
    } else if (m->kind != OCMI_LEVEL_1 || id == 0) {
        ocmi_speak(g, slot, text, plain, 0, now);
    } else if (id <= m->taken) {
        ocmi_status(g, slot);
    } else if (id == m->taken + 1) {
        m->taken = id;
        ocmi_speak(g, slot, text, plain, id, now);
    }
}

/* A member wants entries again: as many as it names, as its rate allows, and as the log still holds. What does not fit beside
   what it asked for before and was not yet sent is not noted: it will ask again. */
static void ocmi_ask(ocm_registry *g, uint32_t slot, const ocm_message *a, uint64_t now)
{
    ocmi_member *m = &g->member[slot];
    const ocmi_room *r = &g->room[m->room];
    uint64_t seq = a->seq, end = a->seq + (a->count > OCM_WINDOW ? OCM_WINDOW : a->count);
    if (m->kind != OCMI_LEVEL_1 || seq == 0) return;
    if (seq < r->first || seq > r->seq) ocmi_status(g, slot);
    if (seq < r->first) seq = r->first;
    if (end > r->seq + 1) end = r->seq + 1;
    if (!m->asked) m->ask = seq;
    for (; seq < end && seq >= m->ask && seq - m->ask < OCM_WINDOW && ocmi_rate(g, m, now); seq++)
        m->asked |= (uint64_t)1 << (seq - m->ask);
    ocmi_due(g, slot);
}

/* A JSON member's datagram. Leaving ends what there is to limit, so it needs no rate. */
static void ocmi_heard_json(ocm_registry *g, uint32_t slot, ocm_view payload, int in_rate, uint64_t now)
{
    uint8_t scratch[OCM_DATAGRAM_MAX];
    const ocmi_member *m = &g->member[slot];
    ocm_message n;
    unsigned plain;
    int good, own;
    good = ocmi_message_decode(payload.len ? payload : ocm_text("{}"), scratch, &n, &plain) > 0;
    own = good && n.has & OCM_HAS_OPERATION && ocm_view_equal(n.sender, ocm_text("system"));
    if (own && n.operation == OCM_LEFT) ocmi_member_end(g, slot, OCMI_WENT);
    else if (!in_rate && m->kind == OCMI_LEVEL_1) g->counts.unaccepted++; /* without a word: it repeats */
    else if (!in_rate) ocmi_refuse(g, slot, OCMI_TOO_FAST, 0, now);
    else if (!good) ocmi_refuse(g, slot, OCMI_NO_TEXT, 0, now);
    else if (!own) ocmi_say(g, slot, n.text, (plain & OCM_HAS_TEXT) != 0, n.id, now);
    else if (n.operation == OCM_STATUS) ocmi_ask(g, slot, &n, now);
}

static void ocmi_heard_from(ocm_registry *g, uint32_t slot, ocm_view payload, size_t len, uint64_t now)
{
    ocmi_member *m = &g->member[slot];
    int in_rate = ocmi_rate(g, m, now);
    if (len > OCM_DATAGRAM_MAX) ocmi_refuse(g, slot, OCMI_TOO_LONG, 0, now);
    else if (!ocmi_gets_text(m)) ocmi_heard_json(g, slot, payload, in_rate, now);
    else if (ocm_view_equal(payload, ocm_text("[remove_chatroom]"))) ocmi_member_end(g, slot, OCMI_WENT);
    else if (!in_rate) ocmi_refuse(g, slot, OCMI_TOO_FAST, 0, now);
    else ocmi_say(g, slot, payload, 0, 0, now);
}

OCM_API int ocm_registry_datagram(ocm_registry *g, const uint8_t *p, size_t len, const ocm_addr *from, uint64_t now)
{
    const ocmi_member *m;
    const ocmi_room *r;
    uint32_t slot = 0;
    ocm_datagram d;
    int i;
    if (ocm_datagram_decode(p, len, &d) > 0) slot = ocmi_token_find(g, d.token);
    if (slot && !ocm_view_equal(d.room, ocmi_room_name(&g->room[g->member[slot].room]))) slot = 0;
    if (slot && !ocm_same_host(from, &g->member[slot].addr)) slot = 0;
    if (slot && !ocmi_log_reserve(g)) return OCM_E_AGAIN;
    g->counts.datagrams++;
    if (!slot) {
        g->counts.dropped++;
        return 0;
    }
    m = &g->member[slot];
    r = &g->room[m->room];
    OCMI_FETCH(&g->member[m->older].newer); /* ocmi_heard will write there */
    OCMI_FETCH(&g->member[m->newer].older);
    for (i = 0; i < OCMI_AHEAD && r->recent[i]; i++) OCMI_FETCH_MEMBER(&g->member[r->recent[i]]);
    ocmi_heard(g, slot, from, now);
    ocmi_heard_from(g, slot, d.payload, len, now);
    return 1;
}

OCM_API uint64_t ocm_registry_deadline(const ocm_registry *g)
{
    return g->oldest ? g->member[g->oldest].heard + (uint64_t)g->limits.idle * 1000 : UINT64_MAX;
}

OCM_API int ocm_registry_time(ocm_registry *g, uint64_t now)
{
    while (ocm_registry_deadline(g) <= now) {
        if (!ocmi_log_reserve(g)) return OCM_E_AGAIN;
        ocmi_member_end(g, g->oldest, OCMI_SILENT);
    }
    return 1;
}

OCM_API void ocm_registry_failed(ocm_registry *g, const ocm_event *ev, uint64_t now)
{
    ocmi_member *m = &g->member[ev->member];
    if (ev->out || m->why) return;
    if (m->sends > 1) m->failures = 0; /* another came through since the last failure */
    m->sends = 0;
    if (m->failures == 0) m->failed = now;
    if (m->failures < 3) m->failures++;
    if (m->failures == 3 && now - m->failed >= 10000 && ocmi_log_reserve(g)) ocmi_member_end(g, ev->member, OCMI_UNREACHABLE);
}

OCM_API void ocm_registry_stop(ocm_registry *g)
{
    while (g->first_room) ocmi_room_close(g, g->first_room, OCMI_STOPPED);
}

/* ---- 6. Session: requests ---- */

enum { OCMI_ASKING, OCMI_WAITING, OCMI_INSIDE, OCMI_ENDED, OCMI_OVER }; /* state: a request is under way, or is due at retry */
enum { OCMI_UNDER_WAY, OCMI_DONE, OCMI_REFUSED, OCMI_UNSURE };          /* fate of a message */

#define OCMI_ANSWER_MS 5000u
#define OCMI_SILENT_MS 10000u
#define OCMI_HISTORY 20u /* entries */
#define OCMI_REPEATED 8u /* messages */
#define OCMI_STUCK 4u    /* times sent */

static size_t ocmi_copy(uint8_t *to, size_t cap, ocm_view v)
{
    size_t n = v.len < cap ? v.len : cap;
    if (n) memcpy(to, v.ptr, n);
    return n;
}

static ocm_view ocmi_session_name(const ocm_session *s)
{
    return ocmi_view(s->name, s->name_len);
}

static ocm_view ocmi_session_room_name(const ocm_session *s)
{
    return ocmi_view(s->room, s->room_len);
}

OCM_API int ocm_session_open(ocm_session *s, int want, int form, ocm_view room, ocm_view name, ocm_view password)
{
    memset(s, 0, sizeof *s);
    if (!ocm_room_valid(room) || !ocm_name_valid(name) || password.len > OCM_NAME_MAX || !ocmi_utf8_valid(password)) return OCM_E_BAD;
    s->state = OCMI_WAITING;
    s->window = OCM_WINDOW;
    s->want = want;
    s->op = want == OCM_CREATE ? OCM_CREATE : OCM_JOIN;
    s->next = 1;
    s->form = form;
    s->room_len = (uint8_t)ocmi_copy(s->room, OCM_NAME_MAX, room);
    s->name_len = (uint8_t)ocmi_copy(s->name, OCM_NAME_MAX, name);
    s->password_len = (uint8_t)ocmi_copy(s->password, OCM_NAME_MAX, password);
    return 1;
}

OCM_API ocm_view ocm_session_request(ocm_session *s, ocm_view ip, uint16_t port, uint64_t now)
{
    ocm_request q;
    int n;
    memset(&q, 0, sizeof q);
    q.op = s->op;
    q.form = s->form;
    q.room = ocmi_session_room_name(s);
    q.name = ocmi_session_name(s);
    q.password = ocmi_view(s->password, s->password_len);
    q.ip = ip;
    q.port = port;
    q.level = 1;
    if (s->op == OCM_JOIN && s->level) q.token = ocmi_view(s->token, s->token_len);
    n = ocm_request_encode(s->out, sizeof s->out, &q);
    OCM_ASSERT(n > 0);
    s->copy = 0;
    s->state = OCMI_ASKING;
    s->retry = now + OCMI_ANSWER_MS;
    s->ack = 0;
    return ocmi_view(s->out, (size_t)n);
}

static void ocmi_session_end(ocm_session *s, int kind, int status, ocm_view why)
{
    s->state = OCMI_ENDED;
    s->end_kind = kind;
    s->status = status;
    s->why_len = ocmi_copy(s->why, sizeof s->why, why);
}

/* The first request fails for good; one to come back is repeated after 1, 2, 4 ... 30 s. */
static void ocmi_session_again(ocm_session *s, uint64_t now, int kind, int status, ocm_view why)
{
    if (!s->token_len || s->leaving) {
        ocmi_session_end(s, s->token_len ? OCM_END_UNCONFIRMED : kind, status, why);
        return;
    }
    s->state = OCMI_WAITING;
    s->retry_wait = s->retry_wait ? s->retry_wait * 2 : 1000;
    if (s->retry_wait > 30000) s->retry_wait = 30000;
    s->retry = now + s->retry_wait;
}

OCM_API void ocm_session_broken(ocm_session *s, uint64_t now)
{
    const ocm_view none = {NULL, 0};
    if (s->state == OCMI_ASKING || s->state == OCMI_WAITING) ocmi_session_again(s, now, OCM_END_NO_ANSWER, 0, none);
}

static ocmi_heard_entry *ocmi_entry_place(ocm_session *s, uint64_t seq)
{
    ocmi_heard_entry *e = &s->entry[seq % OCM_AHEAD];
    if (e->seq != seq) {
        e->seq = seq;
        e->len = 0;
        e->timer.tries = 0;
    }
    return e;
}

static ocmi_said *ocmi_said_at(ocm_session *s, size_t i)
{
    return &s->said[(s->said_first + i) % OCM_WINDOW];
}

/* Numbers anew what is still under way. After a gap what had a number may have arrived: it is not said twice. */
static void ocmi_session_number(ocm_session *s)
{
    size_t i;
    for (s->last_id = 0, i = 0; i < s->said_count; i++) {
        ocmi_said *m = ocmi_said_at(s, i);
        if (m->fate == OCMI_UNDER_WAY && s->gap && m->id && m->timer.tries) m->fate = OCMI_UNSURE;
        if (m->fate != OCMI_UNDER_WAY) continue;
        m->id = ++s->last_id;
        m->timer.tries = 0;
    }
    if (s->renumber > s->known_seq) s->known_seq = s->renumber; /* an older status speaks of the ids before */
    s->renumber = s->known_id = 0;
    s->gap = 0;
}

/* The server is heard again: what waited long for an answer need not wait so long for the next. */
static void ocmi_session_afresh(ocm_session *s)
{
    size_t i;
    for (i = 0; i < OCM_AHEAD; i++)
        if (s->entry[i].timer.tries > 1) s->entry[i].timer.tries = 1;
    for (i = 0; i < s->said_count; i++)
        if (ocmi_said_at(s, i)->timer.tries > 1) ocmi_said_at(s, i)->timer.tries = 1;
    s->retry_wait = 0;
    s->silent = 0;
}

/* In, at level 1, with the own notice at seq. When it is the log that was known, all since then is still to be shown, and may
   hold own messages under their old ids; of another log the last entries are asked for. */
static void ocmi_session_level1(ocm_session *s, const ocm_outcome *o, int same, uint64_t now)
{
    int goes_on = s->own_from && (same || (o->log == s->log && o->seq > s->newest));
    if (!goes_on) {
        s->own_from = o->seq;
        s->next = o->seq > OCMI_HISTORY ? o->seq - OCMI_HISTORY : 1;
        s->newest = s->first = s->known_seq = 0;
        s->gap = 0;
        memset(s->entry, 0, sizeof s->entry);
    }
    s->log = o->log;
    if (!same) s->joined = o->seq;
    if (o->seq > s->newest) s->newest = o->seq;
    s->alive.tries = 0;
    s->alive_at = now;
    s->asked = 0;
    s->renumber = o->seq;
    ocmi_session_afresh(s);
    if (!goes_on || s->said_count == 0) ocmi_session_number(s);
}

/* Back, but at a server without level 1: what is missing will not come, and what was sent is not said again. */
static void ocmi_session_level0(ocm_session *s)
{
    size_t i;
    s->next = s->newest + 1;
    s->renumber = s->asked = 0;
    for (i = 0; i < s->said_count; i++) {
        ocmi_said *m = ocmi_said_at(s, i);
        if (m->fate == OCMI_UNDER_WAY && m->timer.tries) m->fate = OCMI_UNSURE;
    }
}

static void ocmi_session_inside(ocm_session *s, const ocm_outcome *o, uint64_t now)
{
    int before = s->token_len > 0, same = before && ocm_view_equal(o->token, ocmi_view(s->token, s->token_len));
    s->token_len = (uint8_t)ocmi_copy(s->token, OCM_TOKEN_MAX, o->token);
    s->state = OCMI_INSIDE;
    s->level = o->level > 0 && s->form == OCM_FORM_JSON;
    s->idle = o->idle && o->idle < 86400 ? o->idle * 1000 : 300000;
    s->created = s->op == OCM_CREATE || (same && s->created);
    s->show_back = before;
    s->show_in = !before;
    s->status = s->op == OCM_CREATE ? 201 : 200; /* not every form of answer tells the two apart */
    s->retry_wait = 0;
    s->refusals = 0;
    s->silent = 0;
    if (s->level) ocmi_session_level1(s, o, same, now);
    else if (before) ocmi_session_level0(s);
}

/* What a refusal means: another try in the other way, a later one, or the end. */
static void ocmi_session_refused(ocm_session *s, const ocm_outcome *o, uint64_t now)
{
    int again = s->want == OCM_EITHER || (s->token_len && s->created);
    if (o->status == 400 || o->status == 401 || ++s->refusals > 8) ocmi_session_end(s, OCM_END_REFUSED, o->status, o->why);
    else if (again && s->op == OCM_JOIN && o->status == 404) s->op = OCM_CREATE;
    else if (again && s->op == OCM_CREATE && o->status == 409) s->op = OCM_JOIN;
    else ocmi_session_again(s, now, OCM_END_REFUSED, o->status, o->why);
    if (s->state != OCMI_ASKING) return;
    s->state = OCMI_WAITING;
    s->retry = s->op == OCM_CREATE ? now : now + 1000;
}

/* The text form says in its state-1 byte what was refused; what follows in state 2 is a sentence, even if it looks like a token. */
static void ocmi_ack_decides(uint8_t ack, ocm_outcome *o)
{
    static const int status[] = {200, 409, 404, 401, 400, 503, 409};
    if (ack == 0 || ack == 200 || (o->status >= 300 && o->status != 400)) return;
    if (o->status < 300) o->why = o->token;
    o->status = ack < 7 ? status[ack] : 400;
}

/* On coming back a longer token would leave no room for what has been said. */
static int ocmi_token_grows(const ocm_session *s, const ocm_outcome *o)
{
    return s->token_len && o->token.len > OCM_TOKEN_LEN && o->token.len > s->token_len;
}

OCM_API int ocm_session_answer(ocm_session *s, const uint8_t *p, size_t len, uint64_t now)
{
    ocm_frame f;
    ocm_outcome o;
    int n = ocm_frame_decode(p, len, OCM_PAYLOAD_MAX, &f);
    if (n == 0 || s->state != OCMI_ASKING) return n;
    if (n > 0 && f.state == OCM_STATE_ACK) {
        s->ack = f.payload.len == 1 ? f.payload.ptr[0] : 0;
        return n;
    }
    if (n < 0 || f.state != OCM_STATE_DONE || ocm_outcome_decode(&f, s->scratch, &o) < 0 || ocmi_token_grows(s, &o)) {
        ocm_session_broken(s, now);
        return OCM_E_BAD;
    }
    ocmi_ack_decides(s->ack, &o);
    if (o.status < 300) ocmi_session_inside(s, &o, now);
    else ocmi_session_refused(s, &o, now);
    return n;
}

/* ---- 6. Session: what comes in ---- */

static ocmi_said *ocmi_said_find(ocm_session *s, uint64_t id)
{
    size_t i;
    for (i = 0; i < s->said_count; i++)
        if (id && ocmi_said_at(s, i)->id == id) return ocmi_said_at(s, i);
    return NULL;
}

/* The server had taken ids up to `id` when its log stood at seq. What was sent behind a message that had to be repeated was
   dropped for want of it, and is repeated without delay. */
static void ocmi_session_taken(ocm_session *s, uint64_t id, uint64_t seq, uint64_t sent)
{
    size_t i;
    if (seq < s->known_seq || id <= s->known_id) return;
    s->known_seq = seq;
    s->known_id = id;
    for (i = 0; i < s->said_count && i < OCMI_REPEATED; i++) {
        ocmi_said *m = ocmi_said_at(s, i);
        if (m->id > id && m->timer.tries && m->timer.at <= sent) m->timer.tries = 0;
    }
}

/* An own message stands in the log. Its way there and back is a round trip, unless one of the two was repeated. */
static void ocmi_session_receipt(ocm_session *s, const ocm_message *m, int asked, uint64_t now)
{
    ocmi_said *said = ocmi_said_find(s, m->id);
    if (!said || said->fate != OCMI_UNDER_WAY || !ocm_view_equal(m->text, ocmi_view(said->text, said->len))) return;
    if (said->timer.tries == 1 && !asked) s->rtt = now - said->timer.at < 5000 ? now - said->timer.at : 5000;
    said->fate = OCMI_DONE;
    if (s->window < OCM_WINDOW) s->window++;
    ocmi_session_taken(s, m->id, m->seq, said->timer.tries > 1 ? said->timer.at : 0);
}

static uint64_t ocmi_session_tempo(const ocm_session *s)
{
    return s->idle / 3 < 25000 ? s->idle / 3 : 25000;
}

/* Nothing is worth a keep-alive while the log moves; two quiet seconds are, in case the last entry was lost. But the server must
   hear of a member that only listens. */
static void ocmi_session_moved(ocm_session *s, uint64_t now)
{
    uint64_t latest = s->last_sent + ocmi_session_tempo(s);
    s->alive.tries = 0;
    s->alive_at = now + 2000 < latest ? now + 2000 : latest;
}

static void ocmi_session_entry(ocm_session *s, ocm_view json, const ocm_message *m, uint64_t now)
{
    ocmi_heard_entry *e;
    if (m->seq > s->newest) s->newest = m->seq;
    if (m->seq < s->next || m->seq >= s->next + OCM_AHEAD) return; /* a copy; or too early, and asked for when its turn comes */
    e = ocmi_entry_place(s, m->seq);
    if (e->len) return;
    e->len = (uint16_t)ocmi_copy(e->json, sizeof e->json, json);
    if (m->seq > s->own_from && ocm_view_equal(m->sender, ocmi_session_name(s)) && (!s->renumber || m->seq <= s->renumber))
        ocmi_session_receipt(s, m, e->timer.tries > 0, now);
    ocmi_session_moved(s, now);
}

/* What is said is long not taken. If the server then knows of fewer ids than it did, it let us come back and its answer was lost;
   otherwise the status that says so was only overtaken by a later one. */
static int ocmi_session_stuck(ocm_session *s)
{
    return s->said_count > 0 && ocmi_said_at(s, 0)->timer.tries >= OCMI_STUCK;
}

static void ocmi_session_status(ocm_session *s, const ocm_message *m, uint64_t now)
{
    if (s->alive.tries) s->alive_at = now + ocmi_session_tempo(s);
    s->alive.tries = 0;
    if (m->seq > s->newest) s->newest = m->seq;
    if (m->first > s->first && m->first <= m->seq + 1) s->first = m->first;
    if (s->renumber || m->id > s->last_id) return;
    if (m->seq >= s->known_seq && m->id < s->known_id && ocmi_session_stuck(s)) s->renumber = m->seq;
    else ocmi_session_taken(s, m->id, m->seq, 0);
}

static void ocmi_session_notice(ocm_session *s, const ocm_message *m)
{
    ocmi_said *said = s->renumber ? NULL : ocmi_said_find(s, m->id);
    if (!said || said->fate != OCMI_UNDER_WAY) return;
    said->fate = OCMI_REFUSED;
    s->why_len = ocmi_copy(s->why, sizeof s->why, m->text);
}

/* Out: as asked only if it was asked. Nothing more will come: what is missing is lost, and what lies behind it is shown. */
static void ocmi_session_out(ocm_session *s, ocm_view why)
{
    if (s->level) s->first = s->newest + 1;
    ocmi_session_end(s, s->leave.tries ? OCM_END_LEFT : OCM_END_OUT, 0, why);
}

static void ocmi_session_object(ocm_session *s, ocm_view json, uint64_t now)
{
    ocm_message m;
    if (json.len > OCM_DATAGRAM_MAX || ocm_message_decode(json, s->scratch, &m) < 0) return;
    if (m.seq && !(m.has & OCM_HAS_FIRST)) ocmi_session_entry(s, json, &m, now);
    else if (!ocm_view_equal(m.sender, ocm_text("system"))) return;
    else if (m.operation == OCM_STATUS) ocmi_session_status(s, &m, now);
    else if (m.operation == OCM_NOTICE) ocmi_session_notice(s, &m);
    else if (m.operation == OCM_OUT) ocmi_session_out(s, m.text);
}

static void ocmi_session_lines(ocm_session *s, ocm_view payload, uint64_t now)
{
    const uint8_t *p = payload.ptr, *end = p + payload.len;
    while (p < end && s->state != OCMI_ENDED) {
        const uint8_t *stop = (const uint8_t *)memchr(p, '\n', (size_t)(end - p));
        if (!stop) stop = end;
        if (stop > p) ocmi_session_object(s, ocmi_view(p, (size_t)(stop - p)), now);
        p = stop + (stop < end);
    }
}

/* A server without level 1: what comes is shown as it comes, in the same places as a log's entries. */
static void ocmi_session_plain(ocm_session *s, ocm_view payload)
{
    static const char out[] = "system: You have been disconnected";
    ocm_message m;
    ocmi_heard_entry *e;
    if (payload.len == 0 || payload.len > OCM_DATAGRAM_MAX || s->newest + 1 >= s->next + OCM_AHEAD) return;
    if (s->form == OCM_FORM_JSON && ocm_message_decode(payload, s->scratch, &m) > 0 && m.operation == OCM_OUT &&
        ocm_view_equal(m.sender, ocm_text("system"))) {
        ocmi_session_out(s, m.text);
    } else if (s->form == OCM_FORM_TEXT && payload.len >= sizeof out - 1 && memcmp(payload.ptr, out, sizeof out - 1) == 0) {
        ocmi_session_out(s, ocmi_view(payload.ptr + 8, payload.len - 8));
    } else {
        e = ocmi_entry_place(s, ++s->newest);
        e->len = (uint16_t)ocmi_copy(e->json, sizeof e->json, payload);
    }
}

OCM_API void ocm_session_datagram(ocm_session *s, const uint8_t *p, size_t len, uint64_t now)
{
    ocm_datagram d;
    int mine = ocm_datagram_decode(p, len, &d) > 0 && ocm_view_equal(d.room, ocmi_session_room_name(s)) &&
               ocm_view_equal(d.token, ocmi_view(s->token, s->token_len));
    if (s->state == OCMI_ENDED || s->state == OCMI_OVER || !s->token_len) return;
    if (!s->level) {
        ocmi_session_plain(s, mine ? d.payload : ocmi_view(p, len));
        return;
    }
    if (!mine) return;
    s->asked = 0;
    if (s->state == OCMI_WAITING) { /* it was only slow */
        s->state = OCMI_INSIDE;
        s->show_back = s->silent;
        ocmi_session_afresh(s);
    }
    ocmi_session_lines(s, d.payload, now);
}

/* ---- 6. Session: what the user does ---- */

OCM_API size_t ocm_session_text_max(const ocm_session *s)
{
    const ocm_view none = {NULL, 0};
    size_t token = s->token_len ? s->token_len : OCM_TOKEN_MAX; /* OCM_SPEECH_MAX reckons with one of ours */
    return OCM_SPEECH_MAX - (token > OCM_TOKEN_LEN ? token - OCM_TOKEN_LEN : 0) -
           ocm_speech_len(ocmi_session_room_name(s), ocmi_session_name(s), none);
}

OCM_API int ocm_session_ready(const ocm_session *s)
{
    return s->token_len && s->state < OCMI_ENDED && !s->leaving && s->said_count < OCM_WINDOW;
}

OCM_API int ocm_session_say(ocm_session *s, ocm_view text)
{
    const ocm_view none = {NULL, 0};
    ocmi_said *m;
    if (text.len == 0 || !ocm_message_valid(text)) return OCM_E_BAD;
    if (ocm_speech_len(none, none, text) > ocm_session_text_max(s)) return OCM_E_LARGE;
    if (s->said_count == OCM_WINDOW || s->leaving || s->state >= OCMI_ENDED) return OCM_E_AGAIN;
    m = ocmi_said_at(s, s->said_count++);
    m->id = s->renumber ? 0 : ++s->last_id;
    m->timer.tries = 0;
    m->fate = OCMI_UNDER_WAY;
    m->len = (uint16_t)ocmi_copy(m->text, sizeof m->text, text);
    return 1;
}

OCM_API void ocm_session_leave(ocm_session *s)
{
    s->leaving = 1;
    if (s->state == OCMI_WAITING && !s->token_len) s->state = OCMI_ENDED;
    if (s->state == OCMI_WAITING) s->retry = 0; /* one more try, at once */
}

/* ---- 6. Session: what goes out ---- */

/* 1 when it is time; otherwise the session is to wake up then. */
static int ocmi_session_due(ocm_session *s, uint64_t at, uint64_t now)
{
    if (now >= at) return 1;
    if (at < s->wake) s->wake = at;
    return 0;
}

/* First at once, then after 300 ms or two round trips, 600 ms, and every 1.2 s. */
static int ocmi_timer_due(ocm_session *s, const ocmi_timer *t, uint64_t now)
{
    uint64_t wait = t->tries == 1 ? 300 : t->tries == 2 ? 600 : 1200;
    if (wait < 2 * s->rtt) wait = 2 * s->rtt;
    return t->tries == 0 || ocmi_session_due(s, t->at + wait, now);
}

/* Sends payload. What is repeated is also a question: the server must be heard of within 10 s. What is repeated in vain goes twice:
   where so much is lost, waiting costs more than a copy. */
static int ocmi_session_send(ocm_session *s, ocm_view payload, ocmi_timer *t, uint64_t now, ocm_action *a)
{
    int n = ocm_datagram_encode(s->out, OCM_DATAGRAM_MAX, ocmi_session_room_name(s), ocmi_view(s->token, s->token_len), payload);
    OCM_ASSERT(n > 0);
    t->at = now;
    t->tries++;
    s->last_sent = now;
    if (s->level && !s->asked) s->asked = now ? now : 1;
    if (s->level && t->tries > 2 && t != &s->leave) s->copy = (size_t)n;
    a->what = OCM_DO_SEND;
    a->text = ocmi_view(s->out, (size_t)n);
    return 1;
}

static int ocmi_session_copy(ocm_session *s, ocm_action *a)
{
    a->what = OCM_DO_SEND;
    a->text = ocmi_view(s->out, s->copy);
    s->copy = 0;
    return 1;
}

static int ocmi_session_send_message(ocm_session *s, const ocm_message *m, ocmi_timer *t, uint64_t now, ocm_action *a)
{
    int n = ocm_message_encode(s->scratch, sizeof s->scratch, m);
    OCM_ASSERT(n > 0);
    return ocmi_session_send(s, ocmi_view(s->scratch, (size_t)n), t, now, a);
}

static int ocmi_send_said(ocm_session *s, ocmi_said *m, uint64_t now, ocm_action *a)
{
    ocm_message n;
    memset(&n, 0, sizeof n);
    n.text = ocmi_view(m->text, m->len);
    if (!s->level) m->fate = OCMI_DONE; /* said once, and no more is known of it */
    if (s->form != OCM_FORM_JSON) return ocmi_session_send(s, n.text, &m->timer, now, a);
    n.has = OCM_HAS_TEXT | (s->level ? OCM_HAS_ID : OCM_HAS_SENDER);
    n.sender = ocmi_session_name(s);
    n.id = m->id;
    if (s->level && m->timer.tries == 0) ocmi_session_moved(s, now);
    return ocmi_session_send_message(s, &n, &m->timer, now, a);
}

/* New messages go at once, as many as the window allows. The server takes none before its predecessors, so of those it has not
   taken the oldest few are repeated, and where that is needed fewer are sent ahead. One that is not taken in spite of it is reason to
   ask where the server stands. */
static int ocmi_session_talk(ocm_session *s, uint64_t now, ocm_action *a)
{
    size_t i;
    if (s->renumber) return 0;
    for (i = 0; i < s->said_count && i < s->window; i++) {
        ocmi_said *m = ocmi_said_at(s, i);
        if (m->fate != OCMI_UNDER_WAY || (m->timer.tries && (i >= OCMI_REPEATED || m->id <= s->known_id))) continue;
        if (!ocmi_timer_due(s, &m->timer, now)) continue;
        if (m->timer.tries == 1 && s->window > OCMI_REPEATED) s->window = s->window / 2;
        if (m->timer.tries >= OCMI_STUCK) s->alive_at = now;
        return ocmi_send_said(s, m, now, a);
    }
    return 0;
}

/* Asks for the first run of missing entries whose time has come. */
static int ocmi_session_ask(ocm_session *s, uint64_t now, ocm_action *a)
{
    uint64_t seq = s->next, end = s->next + OCM_AHEAD;
    ocm_message n = ocmi_own(OCM_STATUS, OCM_HAS_SEQ | OCM_HAS_COUNT);
    ocmi_heard_entry *e = NULL;
    if (end > s->newest + 1) end = s->newest + 1;
    for (; seq < end; seq++) {
        e = ocmi_entry_place(s, seq);
        if (!e->len && seq != s->joined && ocmi_timer_due(s, &e->timer, now)) break;
    }
    if (seq >= end) return 0;
    n.seq = seq;
    for (n.count = 1; n.count < OCM_WINDOW && seq + n.count < end; n.count++) {
        ocmi_heard_entry *more = ocmi_entry_place(s, seq + n.count);
        if (more->len || seq + n.count == s->joined || !ocmi_timer_due(s, &more->timer, now)) break;
        more->timer.at = now;
        more->timer.tries++;
    }
    return ocmi_session_send_message(s, &n, &e->timer, now, a);
}

static int ocmi_session_alive(ocm_session *s, uint64_t now, ocm_action *a)
{
    const ocm_view none = {NULL, 0};
    if (!ocmi_session_due(s, s->alive_at, now) || !ocmi_timer_due(s, &s->alive, now)) return 0;
    return ocmi_session_send(s, none, &s->alive, now, a);
}

static int ocmi_session_go(ocm_session *s, uint64_t now, ocm_action *a)
{
    const ocm_view none = {NULL, 0};
    ocm_message n = ocmi_own(OCM_LEFT, OCM_HAS_USERNAME | OCM_HAS_TEXT);
    uint8_t words[OCM_NAME_MAX + 8];
    unsigned copies = s->level ? 3 : 1;
    ocmi_out o = ocmi_out_open(words, sizeof words);
    uint64_t wait = s->leave.tries < copies ? 300 : 1000 - 300 * (uint64_t)(copies - 1);
    if (s->form == OCM_FORM_TEXT) {
        ocmi_session_end(s, OCM_END_LEFT, 0, none);
        return 0;
    }
    if (s->leave.tries && !ocmi_session_due(s, s->leave.at + wait, now)) return 0;
    if (s->leave.tries == copies) {
        ocmi_session_end(s, s->level ? OCM_END_UNCONFIRMED : OCM_END_LEFT, 0, none);
        return 0;
    }
    ocmi_put_view(&o, ocmi_session_name(s));
    ocmi_put_text(&o, " left");
    n.username = ocmi_session_name(s);
    n.text = ocmi_view(words, o.len);
    return ocmi_session_send_message(s, &n, &s->leave, now, a);
}

/* Heard nothing for 10 s: back by TCP. A session that is leaving has waited long enough. */
static int ocmi_session_silence(ocm_session *s, uint64_t now, ocm_action *a)
{
    const ocm_view none = {NULL, 0};
    if (!s->asked || !ocmi_session_due(s, s->asked + OCMI_SILENT_MS, now)) return 0;
    if (s->leaving) {
        ocmi_session_end(s, OCM_END_UNCONFIRMED, 0, none);
        return 0;
    }
    s->silent = 1;
    s->state = OCMI_WAITING;
    s->retry = now;
    s->retry_wait = 0;
    s->op = OCM_JOIN;
    a->what = OCM_DO_SHOW;
    a->kind = OCM_SHOW_SILENT;
    return 1;
}

/* ---- 6. Session: what is shown ---- */

static int ocmi_session_show(ocm_action *a, int kind, ocm_view text)
{
    a->what = OCM_DO_SHOW;
    a->kind = kind;
    a->text = text;
    return 1;
}

/* The server has taken it, the log is complete, and it does not stand there: it was refused. */
static void ocmi_session_fates(ocm_session *s)
{
    size_t i;
    if (s->renumber || s->next <= s->known_seq) return;
    for (i = 0; i < s->said_count; i++) {
        ocmi_said *m = ocmi_said_at(s, i);
        if (m->fate == OCMI_UNDER_WAY && m->id && m->id <= s->known_id) m->fate = s->gap ? OCMI_UNSURE : OCMI_REFUSED;
    }
    s->gap = 0;
}

/* Ends the wait of messages whose fate is known; tells of those that did not arrive. */
static int ocmi_session_settle(ocm_session *s, ocm_action *a)
{
    if (s->renumber && s->next > s->renumber) ocmi_session_number(s); /* all entries with old ids are known: the rest was never taken */
    ocmi_session_fates(s);
    while (s->said_count && ocmi_said_at(s, 0)->fate != OCMI_UNDER_WAY) {
        ocmi_said *m = ocmi_said_at(s, 0);
        s->said_first++;
        s->said_count--;
        if (m->fate == OCMI_DONE) continue;
        if (m->fate == OCMI_REFUSED && s->state != OCMI_ENDED) { /* else they are the words of the end */
            a->who = ocmi_view(s->why, s->why_len);
            s->why_len = 0;
        }
        return ocmi_session_show(a, m->fate == OCMI_REFUSED ? OCM_SHOW_REFUSED : OCM_SHOW_UNSURE, ocmi_view(m->text, m->len));
    }
    return 0;
}

static int ocmi_show_json(ocm_session *s, ocm_view json, ocm_action *a)
{
    const uint8_t *p = json.ptr, *end = p + json.len;
    ocm_message m;
    ocm_view raw;
    int how;
    if (ocmi_json_string(&p, end, &raw, &how)) /* bare, as seed B's server writes its notices */
        return ocmi_session_show(a, OCM_SHOW_NOTICE, ocmi_view(s->scratch, ocmi_json_unescape(raw, s->scratch)));
    if (ocm_message_decode(json, s->scratch, &m) < 0) return 0;
    if (ocm_view_equal(m.sender, ocm_text("system"))) return m.text.len ? ocmi_session_show(a, OCM_SHOW_NOTICE, m.text) : 0;
    if (!m.text.len) return 0;
    a->who = m.sender;
    a->own = ocm_view_equal(m.sender, ocmi_session_name(s)) && (!s->level || m.seq > s->own_from);
    return ocmi_session_show(a, OCM_SHOW_MESSAGE, m.text);
}

/* Gives up the entries from next to the oldest that is here or in the log. Of history nobody misses anything. */
static void ocmi_session_skip(ocm_session *s)
{
    uint64_t to = s->first, i;
    for (i = 0; i < OCM_AHEAD; i++) {
        const ocmi_heard_entry *e = &s->entry[i];
        if (e->len && e->seq >= s->next && e->seq < to) to = e->seq;
    }
    if (s->next <= s->own_from) s->next = to <= s->own_from ? to : s->own_from + 1;
    s->missed += to - s->next;
    if (s->joined >= s->next && s->joined < to) s->missed--; /* the own notice is not sent to oneself */
    s->gap |= to > s->next;
    s->next = to;
}

/* The next entries that are here, in their order. */
static int ocmi_session_read(ocm_session *s, ocm_action *a)
{
    while (s->next <= s->newest) {
        ocmi_heard_entry *e = ocmi_entry_place(s, s->next);
        ocm_view text = ocmi_view(e->json, e->len);
        if (!e->len && s->next < s->first) {
            ocmi_session_skip(s);
            if (s->missed) return 0;
            continue;
        }
        if (!e->len && (!s->level || s->next != s->joined)) return 0;
        a->seq = s->next++;
        if (s->form != OCM_FORM_JSON) return ocmi_session_show(a, OCM_SHOW_MESSAGE, text);
        if (text.len && ocmi_show_json(s, text, a)) return 1;
    }
    return 0;
}

static int ocmi_session_tell(ocm_session *s, ocm_action *a)
{
    const ocm_view none = {NULL, 0};
    if (s->show_in || s->show_back) {
        int kind = s->show_in ? OCM_SHOW_IN : OCM_SHOW_BACK;
        s->show_in = s->show_back = 0;
        a->status = s->status;
        return ocmi_session_show(a, kind, none);
    }
    if (ocmi_session_read(s, a)) return 1;
    if (s->missed) {
        a->count = s->missed;
        s->missed = 0;
        return ocmi_session_show(a, OCM_SHOW_MISSED, none);
    }
    return ocmi_session_settle(s, a);
}

static int ocmi_session_ended(ocm_session *s, ocm_action *a)
{
    size_t i;
    s->state = OCMI_OVER;
    a->what = OCM_DO_END;
    a->kind = s->end_kind;
    a->status = s->status;
    a->text = ocmi_view(s->why, s->why_len);
    for (i = 0; i < s->said_count; i++) a->count += ocmi_said_at(s, i)->fate == OCMI_UNDER_WAY;
    return 1;
}

static int ocmi_session_connect(ocm_session *s, uint64_t now, ocm_action *a)
{
    if (!ocmi_session_due(s, s->retry, now)) return 0;
    s->state = OCMI_ASKING;
    s->retry = now + OCMI_ANSWER_MS;
    a->what = OCM_DO_CONNECT;
    return 1;
}

static int ocmi_session_outward(ocm_session *s, uint64_t now, ocm_action *a)
{
    if (s->level && ocmi_session_silence(s, now, a)) return 1;
    if (s->state != OCMI_INSIDE) return 0;
    if (s->copy) return ocmi_session_copy(s, a);
    if (ocmi_session_talk(s, now, a)) return 1;
    if (s->level && (ocmi_session_ask(s, now, a) || ocmi_session_alive(s, now, a))) return 1;
    return s->leaving && s->said_count == 0 && ocmi_session_go(s, now, a);
}

OCM_API int ocm_session_next(ocm_session *s, uint64_t now, ocm_action *a)
{
    memset(a, 0, sizeof *a);
    s->wake = UINT64_MAX;
    if (s->state == OCMI_OVER) return 0;
    if (s->token_len && ocmi_session_tell(s, a)) return 1;
    if (s->state == OCMI_ASKING && ocmi_session_due(s, s->retry, now)) ocm_session_broken(s, now);
    if (s->state == OCMI_WAITING && ocmi_session_connect(s, now, a)) return 1;
    if (s->state == OCMI_WAITING && s->level && ocmi_session_alive(s, now, a)) return 1; /* perhaps the network is back */
    if (s->state == OCMI_INSIDE && ocmi_session_outward(s, now, a)) return 1;
    if (s->state == OCMI_ENDED) return ocmi_session_ended(s, a);
    return 0;
}

OCM_API uint64_t ocm_session_deadline(const ocm_session *s)
{
    return s->wake;
}

#endif /* OCM_IMPLEMENTED */
#endif /* OCM_IMPLEMENTATION */

/* LICENCE: choose either.

   1. Public domain (Unlicense)

   This is free and unencumbered software released into the public domain.

   Anyone is free to copy, modify, publish, use, compile, sell, or distribute this software, either in source code form
   or as a compiled binary, for any purpose, commercial or non-commercial, and by any means.

   In jurisdictions that recognize copyright laws, the author or authors of this software dedicate any and all copyright
   interest in the software to the public domain. We make this dedication for the benefit of the public at large and to
   the detriment of our heirs and successors. We intend this dedication to be an overt act of relinquishment in
   perpetuity of all present and future rights to this software under copyright law.

   THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
   WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS BE
   LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
   OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.

   For more information, please refer to <https://unlicense.org>

   2. MIT

   Copyright (c) 2026 the authors of ocm.h

   Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
   documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
   rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
   persons to whom the Software is furnished to do so, subject to the following conditions:

   The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
   Software.

   THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
   WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
   COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
   OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.       */
