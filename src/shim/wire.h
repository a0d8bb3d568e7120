/* The wire between the daemon and a supervisor: every message of it, and how one looks.
 *
 * A unix SOCK_SEQPACKET socket keeps messages whole and carries descriptors (SCM_RIGHTS). The
 * daemon sends requests, numbered; the shim answers each with one REPLY of the same number (in
 * order, but EXEC when its process runs), and sends events (number 0) whenever something happened.
 * The shim talks to one daemon at a time: a newer connection replaces an older one, which is told
 * so by REPLACED.
 *
 * A message is a head of eight bytes (uint16 type, uint16 zero, uint32 number) and fields, each
 * with a head of eight bytes (uint16 field, uint16 zero, uint32 size) and its bytes; numbers are in
 * the machine's order, since both ends are on one machine. A text ends in NUL, an integer is an
 * int64, a descriptor is the int64 index into those that came along. What is big travels as a file:
 * the configuration is in the bundle, long blobs are memfds (wire_put_blob).
 *
 * A shim may be older than the daemon by any number of releases. Therefore numbers of messages and
 * fields are never reused or given another meaning; a receiver ignores fields that it does not
 * know, treats absent ones as unset, ignores unknown events and answers unknown requests
 * UNSUPPORTED. WIRE_VERSION counts releases of this list; both ends tell theirs in HELLO, and may
 * leave out what the other cannot know. */
#ifndef BERTH_SHIM_WIRE_H
#define BERTH_SHIM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

#define WIRE_VERSION       2
#define WIRE_MESSAGE_LIMIT ((size_t)64 * 1024)
#define WIRE_INLINE_LIMIT  ((size_t)24 * 1024) /* longer blobs go as a memfd */
#define WIRE_BLOB_LIMIT    ((size_t)8 * 1024 * 1024)
#define WIRE_FD_LIMIT      240

/* clang-format off */
#define WIRE_MESSAGES(X)                                                                            \
    /* requests               fields; in the reply                                               */ \
    X(HELLO,           1)  /* VERSION; VERSION and as STATUS                                     */ \
    X(HOLD,            2)  /* the descriptors that come along are kept until the end; no reply   */ \
    X(CREATE,          3)  /* BUNDLE_PATH INIT_PATH STDIN_OPEN STDIN_ONCE LOG_* *_FD; PID        */ \
    X(START,           4)  /* ; STARTED_NS                                                       */ \
    X(STATUS,          5)  /* ; STATE PID EXIT_CODE OOM_KILLED STARTED_NS EXITED_NS EXEC_ID…     */ \
    X(SIGNAL,          6)  /* EXEC_ID SIGNAL                                                     */ \
    X(RESIZE,          7)  /* EXEC_ID HEIGHT WIDTH                                               */ \
    X(PAUSE,           8)  /* PAUSED                                                             */ \
    X(ATTACH,          9)  /* CLIENT_FD STREAM_* DETACH_KEYS PENDING                             */ \
    X(EXEC,           10)  /* EXEC_ID PROCESS LIFETIME_MS CLIENT_FD and as ATTACH; PID           */ \
    X(FORGET,         11)  /* ; the shim ends behind the reply                                   */ \
    X(HEARD,          12)  /* EXEC_ID: its EXITED was heard, need not be told again; no reply    */ \
    X(MOUNT,          13)  /* DESTINATION MOUNT_FD: for the CREATE to come; no reply             */ \
    X(NAMES,          14)  /* RESOLVER; the first time NETWORK_FD RESOLVER_UDP_FD RESOLVER_TCP_FD */ \
    X(RELEASE,        15)  /* PORT…; none: all that HOLD brought is closed                       */ \
    /* answer */                                                                                    \
    X(REPLY,         100)  /* ERROR_KIND ERROR_SYS ERROR_TEXT on failure, else as said above     */ \
    /* events */                                                                                    \
    X(EXITED,        200)  /* EXEC_ID EXIT_CODE OOM_KILLED WALL_NS                               */ \
    X(OUT_OF_MEMORY, 201)  /* WALL_NS                                                            */ \
    X(DETACHED,      202)  /* EXEC_ID                                                            */ \
    X(REPLACED,      203)  /* another daemon connected; this connection ends                     */

#define WIRE_FIELDS(X)                                                                              \
    X(VERSION,         1)  /* integer: WIRE_VERSION of the sender                                */ \
    X(ERROR_KIND,      2)  /* text: error_kind_name                                              */ \
    X(ERROR_SYS,       3)  /* integer: errno                                                     */ \
    X(ERROR_TEXT,      4)  /* text                                                               */ \
    X(BUNDLE_PATH,    10)  /* text: directory of config.json, and of the shim's state.json       */ \
    X(INIT_PATH,      11)  /* text: --init program on the host; absent: none                     */ \
    X(STDIN_OPEN,     12)  /* integer: boolean                                                   */ \
    X(STDIN_ONCE,     13)  /* integer: boolean                                                   */ \
    X(LOG_DRIVER,     14)  /* text: json-file, none                                              */ \
    X(LOG_PATH,       15)  /* text                                                               */ \
    X(LOG_MAX_SIZE,   16)  /* integer: bytes, 0: never rotate                                    */ \
    X(LOG_MAX_FILES,  17)  /* integer                                                            */ \
    X(LOG_ATTRIBUTES, 18)  /* text: JSON object; absent: none                                    */ \
    X(ROOTFS_FD,      19)  /* descriptor: detached mount; absent: bundle's root.path             */ \
    X(NETWORK_FD,     20)  /* descriptor: network namespace; absent: as configured               */ \
    X(SECCOMP_FD,     21)  /* descriptor: file of compiled filter; absent: none                  */ \
    X(DESTINATION,    22)  /* text: of a mount in the configuration                              */ \
    X(MOUNT_FD,       23)  /* descriptor: detached mount, stands for the source of that mount    */ \
    X(RUNTIME_PATH,   24)  /* text: OCI runtime's command line; absent: our own library          */ \
    X(RUNTIME_ARGS,   25)  /* text: words for it in front of the command, a line each            */ \
    X(STATE,          30)  /* integer: enum wire_state                                           */ \
    X(PID,            31)  /* integer: host's view                                               */ \
    X(EXIT_CODE,      32)  /* integer: 128 + n for signal n                                      */ \
    X(OOM_KILLED,     33)  /* integer: boolean                                                   */ \
    X(STARTED_NS,     34)  /* integer: wall clock                                                */ \
    X(EXITED_NS,      35)  /* integer: wall clock                                                */ \
    X(WALL_NS,        36)  /* integer: when the event happened                                   */ \
    X(EXEC_ID,        40)  /* text: absent means the container; STATUS: one per running exec     */ \
    X(SIGNAL,         41)  /* integer                                                            */ \
    X(HEIGHT,         42)  /* integer: rows                                                      */ \
    X(WIDTH,          43)  /* integer: columns                                                   */ \
    X(PAUSED,         44)  /* integer: boolean                                                   */ \
    X(PROCESS,        45)  /* blob: runtime_process as JSON                                      */ \
    X(LIFETIME_MS,    46)  /* integer: the exec is killed after that time; absent: never         */ \
    X(CLIENT_FD,      50)  /* descriptor: the client's socket; absent: detached                  */ \
    X(STREAM_STDIN,   51)  /* integer: boolean, the client's bytes are stdin                     */ \
    X(STREAM_STDOUT,  52)  /* integer: boolean                                                   */ \
    X(STREAM_STDERR,  53)  /* integer: boolean                                                   */ \
    X(STREAM_FRAMED,  54)  /* integer: boolean, output with 8-byte heads                         */ \
    X(DETACH_KEYS,    55)  /* bytes of the sequence; absent: none                                */ \
    X(PENDING,        56)  /* blob: what the client sent already                                 */ \
    X(DEADLINE_NS,    57)  /* integer, monotonic clock: any request; it is not served later      */ \
    X(RESOLVER,       60)  /* blob: resolver_settings as JSON                                    */ \
    X(RESOLVER_UDP_FD, 61) /* descriptor: where the container asks for names                     */ \
    X(RESOLVER_TCP_FD, 62) /* descriptor: the same, listening                                    */ \
    X(PORT,           63)  /* text: protocol number, address, port of a socket: "6 0.0.0.0 80"   */ \
    X(LOG_COMPRESS,   70)  /* integer: boolean, rotated files are gzipped                        */ \
    X(LOG_FORWARD,    71)  /* blob: forward_settings as JSON; absent: entries go nowhere else    */ \
    X(LOG_DROPS,      72)  /* integer: boolean, what finds no room is dropped at once            */ \
    X(LOG_BUFFER,     73)  /* integer: bytes that wait to be forwarded at most                   */ \
    X(LOGGER_FD,      74)  /* descriptor: the program berth-log; absent: it is not needed        */ \
    X(BLOB_FD,       100)  /* descriptor: memfd with the blob of the field in front of it        */
/* clang-format on */

enum wire_type {
#define X(name, number) WIRE_##name = (number),
    WIRE_MESSAGES(X)
#undef X
};

enum wire_field {
#define X(name, number) WIRE_FIELD_##name = (number),
    WIRE_FIELDS(X)
#undef X
};

enum wire_state { WIRE_STATE_NONE, WIRE_STATE_CREATED, WIRE_STATE_RUNNING, WIRE_STATE_EXITED };

/* One message. Descriptors of an outgoing one are borrowed (memfds of blobs excepted), those of a
 * received one belong to it until wire_take_fd. */
struct wire_message {
    uint16_t type;
    uint32_t number;
    struct buf fields;
    int fds[WIRE_FD_LIMIT];
    bool is_owned[WIRE_FD_LIMIT];
    size_t fd_count;
};

const char *wire_type_name(unsigned type); /* "CREATE"; "?" for an unknown one */

/* ---- writing */

void wire_init(struct wire_message *message, enum wire_type type, uint32_t number);
void wire_put_int(struct wire_message *message, enum wire_field field, int64_t value);
void wire_put_text(struct wire_message *message, enum wire_field field,
                   const char *text); /* NULL: absent */
void wire_put_bytes(struct wire_message *message, enum wire_field field, const void *bytes,
                    size_t size);
/* -1: absent. At most WIRE_FD_LIMIT in one message. */
void wire_put_fd(struct wire_message *message, enum wire_field field, int fd);
/* Inline when short, else as a memfd. INVALID beyond WIRE_BLOB_LIMIT. */
int wire_put_blob(struct wire_message *message, enum wire_field field, const void *bytes,
                  size_t size, struct error *err);
void wire_put_error(struct wire_message *message, const struct error *err);

/* ---- reading: absent or ill-shaped fields give the fallback */

int64_t wire_get_int(const struct wire_message *message, enum wire_field field, int64_t fallback);
bool wire_get_bool(const struct wire_message *message, enum wire_field field);
const char *wire_get_text(const struct wire_message *message, enum wire_field field); /* borrowed */
const void *wire_get_bytes(const struct wire_message *message, enum wire_field field,
                           size_t *out_size);
/* The descriptor is the caller's from now on; -1 if absent. */
int wire_take_fd(struct wire_message *message, enum wire_field field);
/* Adds the blob to 'out'; absent adds nothing. */
int wire_get_blob(struct wire_message *message, enum wire_field field, struct buf *out,
                  struct error *err);
/* Walks the fields: 0 at the end. 'position' starts at 0. */
struct wire_value {
    unsigned field;
    const void *bytes;
    size_t size;
};
bool wire_next(const struct wire_message *message, size_t *position, struct wire_value *out);
/* A REPLY with an error: fills 'err' and gives -1; 0 otherwise. */
int wire_get_error(const struct wire_message *message, struct error *err);

/* ---- the socket */

/* Sends it whole. -1 with err->sys EAGAIN if there is no room now (or not within SO_SNDTIMEO). */
int wire_send(int fd, const struct wire_message *message, struct error *err);

/* Receives one without waiting. 1: 'out' is filled (wire_done it). 0: the peer has closed. -1:
 * failed; err->sys is EAGAIN when there is nothing at present; INVALID for a malformed message. */
int wire_receive(int fd, struct wire_message *out, struct error *err);

/* Reads head and checks all fields of the bytes (copied). INVALID if they are malformed. */
int wire_decode(const void *bytes, size_t size, struct wire_message *out, struct error *err);
void wire_encode(const struct wire_message *message, struct buf *out);

void wire_done(struct wire_message *message);
CLEANUP_VALUE(wire_done, struct wire_message)

#endif
