/*
 * The SDK for zApps in C: the host interface `zapp0`, and above it what the SDK in Rust has.
 *
 *     clang @zapp.flags hello.c -o hello.wasm
 *     zq zapp check hello.wasm
 *
 * One header, no libc, no allocation. A zApp is a function `run` that answers requests, exported by
 * ZAPP(run, ...), and a description of its methods in JSON, attached by ZAPP_ABI("hello.abi.json").
 * A call that returns ZAPP_OK is kept; any other code undoes it and stands in the attested leaf.
 *
 * Values have one encoding, the same in every language: fields one after another, numbers big-endian
 * at full width, fixed bytes as they are; before text, bytes and lists their length as u16; before an
 * optional value 1, and 0 instead of none. docs/zapps.md has methods, limits and prices.
 *
 * What the host refuses (a key that is empty or longer than 256 bytes, a write in a view, a range
 * outside of the memory) ends the call as a trap: no function here returns from it.
 */
#ifndef ZAPP_H
#define ZAPP_H

#include <stdbool.h>
#include <stdint.h>

/* ---- The host interface, as it is ------------------------------------------------------------ */

#define ZAPP_IMPORT(name) __attribute__((import_module("zapp0"), import_name(name)))

ZAPP_IMPORT("input") void zapp0_input(void *to, uint32_t from, uint32_t length);
ZAPP_IMPORT("output") void zapp0_output(const void *bytes, uint32_t length);
ZAPP_IMPORT("ctx") int32_t zapp0_ctx(uint32_t field, void *to);
ZAPP_IMPORT("gas_left") uint64_t zapp0_gas_left(void);
ZAPP_IMPORT("get")
int32_t zapp0_get(const void *key, uint32_t length, void *to, uint32_t room);
ZAPP_IMPORT("set")
void zapp0_set(const void *key, uint32_t key_length, const void *value, uint32_t length);
ZAPP_IMPORT("del") void zapp0_del(const void *key, uint32_t length);
ZAPP_IMPORT("next")
int32_t zapp0_next(const void *key, uint32_t length, void *to, uint32_t room);
ZAPP_IMPORT("emit")
void zapp0_emit(const void *topic, uint32_t topic_length, const void *data, uint32_t length);
ZAPP_IMPORT("hash")
void zapp0_hash(uint32_t algorithm, const void *bytes, uint32_t length, void *to);
ZAPP_IMPORT("verify")
int32_t zapp0_verify(uint32_t algorithm, const void *message, uint32_t message_length,
                     const void *signature, uint32_t signature_length, const void *key,
                     uint32_t key_length);
ZAPP_IMPORT("abort") __attribute__((noreturn))
void zapp0_abort(const void *message, uint32_t length);
ZAPP_IMPORT("log") void zapp0_log(const void *text, uint32_t length);
ZAPP_IMPORT("call")
uint64_t zapp0_call(const void *zapp, uint64_t gas, const void *input, uint32_t length);
ZAPP_IMPORT("result") void zapp0_result(void *to, uint32_t from, uint32_t length);
ZAPP_IMPORT("post")
void zapp0_post(const void *to, uint32_t to_length, const void *payload, uint32_t length);
ZAPP_IMPORT("pull")
int32_t zapp0_pull(const void *source, uint32_t length, void *to, uint32_t room);

/* ---- How a call ends ------------------------------------------------------------------------- */

/* A revert's code, or ZAPP_OK. Those below 100 mean the same in every zApp. */
typedef uint32_t zapp_code;

enum {
    ZAPP_OK = 0,
    ZAPP_UNKNOWN_METHOD = 1, /* No such method for this kind of request. */
    ZAPP_ARGUMENTS = 2,      /* The arguments are not those of the method. */
    ZAPP_NOT_OWNER = 3,      /* The method is for the zApp's owner. */
    ZAPP_OVERFLOW = 4,       /* A number would pass its range. */
    ZAPP_STATE = 5,          /* An entry is missing, or not what the zApp writes. */
    ZAPP_INPUT_LENGTH = 6,   /* The input is longer than the zApp's buffer. */
    ZAPP_CALL_FAILED = 7,    /* Another zApp that was called gave no result. */
    ZAPP_DEPOSIT = 8,        /* Only the committee calls this, when a deposit comes in. */
    ZAPP_OWN = 100,          /* The first of an author's own, which end at 2^31 - 1. */
};

#define ZAPP_CHECKED __attribute__((warn_unused_result)) static inline

/* Returns from the function with the code, unless it is ZAPP_OK. */
#define ZAPP_TRY(expression)                                                                      \
    do {                                                                                          \
        zapp_code zapp_tried = (expression);                                                      \
        if (zapp_tried != ZAPP_OK) return zapp_tried;                                             \
    } while (0)

/* Returns from the function with the code unless the condition holds. */
#define ZAPP_ENSURE(condition, code)                                                              \
    do {                                                                                          \
        if (!(condition)) return (code);                                                          \
    } while (0)

/* A literal and its length, for functions that take both. */
#define ZAPP_TEXT(literal) ("" literal), (uint32_t)(sizeof(literal) - 1)

/* Ends the call at once, without effect, with a message as its output. */
#define ZAPP_ABORT(literal) zapp0_abort(ZAPP_TEXT(literal))

/* Writes a line for the author; it costs gas and is part of no digest. */
#define ZAPP_LOG(literal) zapp0_log(ZAPP_TEXT(literal))

/* Sums and differences that stay in range; C's own wrap in silence. */
ZAPP_CHECKED zapp_code zapp_add_u64(uint64_t a, uint64_t b, uint64_t *sum) {
    return __builtin_add_overflow(a, b, sum) ? ZAPP_OVERFLOW : ZAPP_OK;
}

ZAPP_CHECKED zapp_code zapp_sub_u64(uint64_t a, uint64_t b, uint64_t *difference) {
    return __builtin_sub_overflow(a, b, difference) ? ZAPP_OVERFLOW : ZAPP_OK;
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

/* Bytes that lie elsewhere: in the input, which stays as it is, or in a buffer of the author's. */
typedef struct {
    const uint8_t *at;
    uint32_t length;
} zapp_bytes;

static inline bool zapp_equal(const void *one, const void *other, uint32_t length) {
    const uint8_t *a = one, *b = other;
    for (uint32_t i = 0; i < length; i++) {
        if (a[i] != b[i]) return false;
    }
    return true;
}

/* Whether bytes are text in UTF-8 (RFC 3629): no surrogates, nothing longer than it need be. */
static inline bool zapp_is_utf8(const uint8_t *at, uint32_t length) {
    uint32_t i = 0;
    while (i < length) {
        uint8_t first = at[i++], lowest = 0x80, highest = 0xbf;
        uint32_t more;
        if (first < 0x80) {
            continue;
        } else if (first >= 0xc2 && first <= 0xdf) {
            more = 1;
        } else if (first >= 0xe0 && first <= 0xef) {
            more = 2;
            if (first == 0xe0) lowest = 0xa0;
            if (first == 0xed) highest = 0x9f;
        } else if (first >= 0xf0 && first <= 0xf4) {
            more = 3;
            if (first == 0xf0) lowest = 0x90;
            if (first == 0xf4) highest = 0x8f;
        } else {
            return false;
        }
        for (; more > 0; more--) {
            if (i == length || at[i] < lowest || at[i] > highest) return false;
            i++;
            lowest = 0x80;
            highest = 0xbf;
        }
    }
    return true;
}

/* ---- Reading arguments, entries and results -------------------------------------------------- */

/* What is left to read. Reading past the end, or what is no value, gives zeros and spoils it:
 * zapp_end tells. So read all arguments first, then return if zapp_end says so. */
typedef struct {
    const uint8_t *at;
    uint32_t left;
    bool spoilt;
} zapp_reader;

static inline zapp_reader zapp_reader_on(const void *bytes, uint32_t length) {
    return (zapp_reader){bytes, length, false};
}

/* ZAPP_ARGUMENTS unless everything was read, and nothing beyond. */
ZAPP_CHECKED zapp_code zapp_end(const zapp_reader *reader) {
    return reader->spoilt || reader->left > 0 ? ZAPP_ARGUMENTS : ZAPP_OK;
}

/* The next bytes, in place; of length 0 if fewer are left. */
static inline zapp_bytes zapp_take(zapp_reader *reader, uint32_t length) {
    if (reader->spoilt || reader->left < length) {
        reader->spoilt = true;
        return (zapp_bytes){reader->at, 0};
    }
    zapp_bytes taken = {reader->at, length};
    reader->at += length;
    reader->left -= length;
    return taken;
}

/* A big-endian number of up to 8 bytes. */
static inline uint64_t zapp_read_number(zapp_reader *reader, uint32_t width) {
    zapp_bytes bytes = zapp_take(reader, width);
    uint64_t value = 0;
    for (uint32_t i = 0; i < bytes.length; i++) value = value << 8 | bytes.at[i];
    return value;
}

static inline uint8_t zapp_read_u8(zapp_reader *reader) {
    return (uint8_t)zapp_read_number(reader, 1);
}

static inline uint16_t zapp_read_u16(zapp_reader *reader) {
    return (uint16_t)zapp_read_number(reader, 2);
}

static inline uint32_t zapp_read_u32(zapp_reader *reader) {
    return (uint32_t)zapp_read_number(reader, 4);
}

static inline uint64_t zapp_read_u64(zapp_reader *reader) { return zapp_read_number(reader, 8); }

/* A bool; also whether an optional value follows. */
static inline bool zapp_read_bool(zapp_reader *reader) {
    uint8_t byte = zapp_read_u8(reader);
    if (byte > 1) reader->spoilt = true;
    return byte == 1;
}

/* Exactly so many bytes, copied; zeros if fewer are left. */
static inline void zapp_read(zapp_reader *reader, void *to, uint32_t length) {
    zapp_bytes bytes = zapp_take(reader, length);
    if (bytes.length == length) {
        __builtin_memcpy(to, bytes.at, length);
    } else {
        __builtin_memset(to, 0, length);
    }
}

/* At most `max` bytes after their length. */
static inline zapp_bytes zapp_read_bytes(zapp_reader *reader, uint32_t max) {
    uint16_t length = zapp_read_u16(reader);
    if (length > max) reader->spoilt = true;
    return zapp_take(reader, length);
}

/* At most `max` bytes of text after their length. */
static inline zapp_bytes zapp_read_text(zapp_reader *reader, uint32_t max) {
    zapp_bytes text = zapp_read_bytes(reader, max);
    if (!zapp_is_utf8(text.at, text.length)) reader->spoilt = true;
    return text;
}

/* ---- Writing results, events, entries and calls ---------------------------------------------- */

/* A buffer that is filled from its start. Writing beyond its end aborts the call. */
typedef struct {
    uint8_t *bytes;
    uint32_t length;
    uint32_t room;
} zapp_writer;

/* A writer with a buffer of its own: ZAPP_WRITER(answer, 40); */
#define ZAPP_WRITER(name, bytes_max)                                                              \
    uint8_t name##_bytes[bytes_max];                                                              \
    zapp_writer name = {name##_bytes, 0, bytes_max}

static inline void zapp_put(zapp_writer *writer, const void *bytes, uint32_t length) {
    if (length > writer->room - writer->length) ZAPP_ABORT("a value longer than its buffer");
    __builtin_memcpy(writer->bytes + writer->length, bytes, length);
    writer->length += length;
}

/* A big-endian number of up to 8 bytes. */
static inline void zapp_put_number(zapp_writer *writer, uint64_t value, uint32_t width) {
    uint8_t bytes[8];
    for (uint32_t i = 0; i < width; i++) bytes[i] = (uint8_t)(value >> (8 * (width - 1 - i)));
    zapp_put(writer, bytes, width);
}

static inline void zapp_put_u8(zapp_writer *writer, uint8_t value) {
    zapp_put_number(writer, value, 1);
}

static inline void zapp_put_u16(zapp_writer *writer, uint16_t value) {
    zapp_put_number(writer, value, 2);
}

static inline void zapp_put_u32(zapp_writer *writer, uint32_t value) {
    zapp_put_number(writer, value, 4);
}

static inline void zapp_put_u64(zapp_writer *writer, uint64_t value) {
    zapp_put_number(writer, value, 8);
}

/* A bool; also whether an optional value follows. */
static inline void zapp_put_bool(zapp_writer *writer, bool value) { zapp_put_u8(writer, value); }

/* Bytes or text of varying length. */
static inline void zapp_put_bytes(zapp_writer *writer, zapp_bytes bytes) {
    zapp_put_u16(writer, (uint16_t)bytes.length);
    zapp_put(writer, bytes.at, bytes.length);
}

/* What was written becomes the call's output; the last one counts. */
static inline void zapp_output(const zapp_writer *writer) {
    zapp0_output(writer->bytes, writer->length);
}

/* Adds an event: its name and its fields. A call that reverts has none. */
#define ZAPP_EMIT(name, writer) zapp0_emit(ZAPP_TEXT(name), (writer)->bytes, (writer)->length)

/* ---- State ----------------------------------------------------------------------------------- */

/* A key of an entry. Entries lie in the order of their keys' bytes, so numbers are put big-endian. */
typedef struct {
    uint32_t length;
    uint8_t bytes[256];
} zapp_key;

/* A key that begins with a literal. No key of one thing may begin the keys of another. */
#define ZAPP_KEY(literal) zapp_key_of(ZAPP_TEXT(literal))

/* Adds bytes of fixed length to a key: a map's key after its name. */
static inline void zapp_key_add(zapp_key *key, const void *bytes, uint32_t length) {
    if (length > sizeof key->bytes - key->length) ZAPP_ABORT("a key longer than 256 bytes");
    __builtin_memcpy(key->bytes + key->length, bytes, length);
    key->length += length;
}

static inline zapp_key zapp_key_of(const char *name, uint32_t length) {
    zapp_key key;
    key.length = 0;
    zapp_key_add(&key, name, length);
    return key;
}

/* The length of an entry's value, of which what fits is copied; -1 where there is no entry. */
static inline int32_t zapp_get(const zapp_key *key, void *to, uint32_t room) {
    return zapp0_get(key->bytes, key->length, to, room);
}

/* A value of exactly so many bytes; ZAPP_STATE if there is none, or another. */
ZAPP_CHECKED zapp_code zapp_load(const zapp_key *key, void *to, uint32_t length) {
    return zapp_get(key, to, length) == (int32_t)length ? ZAPP_OK : ZAPP_STATE;
}

/* A number, 0 where there is no entry; ZAPP_STATE if it is something else. */
ZAPP_CHECKED zapp_code zapp_get_u64(const zapp_key *key, uint64_t *value) {
    uint8_t bytes[8];
    int32_t length = zapp_get(key, bytes, sizeof bytes);
    *value = 0;
    if (length < 0) return ZAPP_OK;
    if (length != sizeof bytes) return ZAPP_STATE;
    zapp_reader reader = zapp_reader_on(bytes, sizeof bytes);
    *value = zapp_read_u64(&reader);
    return ZAPP_OK;
}

static inline void zapp_set(const zapp_key *key, const void *value, uint32_t length) {
    zapp0_set(key->bytes, key->length, value, length);
}

static inline void zapp_set_u64(const zapp_key *key, uint64_t value) {
    ZAPP_WRITER(number, 8);
    zapp_put_u64(&number, value);
    zapp_set(key, number.bytes, number.length);
}

/* Deletes an entry; there need not be one. */
static inline void zapp_delete(const zapp_key *key) { zapp0_del(key->bytes, key->length); }

/* Makes of a key the next one that has the same first `prefix` bytes; false where none follows,
 * and then the key is what it was. Entries may be set and deleted on the way. */
static inline bool zapp_next(zapp_key *key, uint32_t prefix) {
    zapp_key next;
    int32_t length = zapp0_next(key->bytes, key->length, next.bytes, sizeof next.bytes);
    if (length < (int32_t)prefix || !zapp_equal(key->bytes, next.bytes, prefix)) return false;
    key->length = (uint32_t)length;
    __builtin_memcpy(key->bytes, next.bytes, key->length);
    return true;
}

/* ---- Who calls, and when --------------------------------------------------------------------- */

/* The key that signed the request, or the id of the zApp that calls. */
static inline void zapp_caller(uint8_t to[32]) { zapp0_ctx(1, to); }

/* The key that signed the request. */
static inline void zapp_origin(uint8_t to[32]) { zapp0_ctx(2, to); }

/* This zApp's own id. */
static inline void zapp_self(uint8_t to[32]) { zapp0_ctx(0, to); }

static inline void zapp_request_id(uint8_t to[32]) { zapp0_ctx(3, to); }

static inline void zapp_committee(uint8_t to[32]) { zapp0_ctx(9, to); }

/* Height of the chain momentum that the step is anchored to. */
static inline uint64_t zapp_height(void) {
    uint64_t height;
    zapp0_ctx(4, &height);
    return height;
}

/* Time of the step in Unix milliseconds; the same for every request of a step. */
static inline uint64_t zapp_time_ms(void) {
    uint64_t time;
    zapp0_ctx(5, &time);
    return time;
}

/* ---- Hashes and signatures, which the host computes ------------------------------------------ */

static inline void zapp_sha256(zapp_bytes bytes, uint8_t to[32]) {
    zapp0_hash(0, bytes.at, bytes.length, to);
}

static inline void zapp_sha3_256(zapp_bytes bytes, uint8_t to[32]) {
    zapp0_hash(1, bytes.at, bytes.length, to);
}

static inline void zapp_keccak256(zapp_bytes bytes, uint8_t to[32]) {
    zapp0_hash(2, bytes.at, bytes.length, to);
}

/* Whether a signature is a strict Ed25519 signature of the message under the key. */
static inline bool zapp_ed25519_verify(const uint8_t key[32], zapp_bytes message,
                                       const uint8_t signature[64]) {
    return zapp0_verify(0, message.at, message.length, signature, 64, key, 32) == 1;
}

/* ---- Other zApps, other chains, values from outside ------------------------------------------ */

typedef enum {
    ZAPP_ENDED_WELL = 0,
    ZAPP_REVERTED = 1,
    ZAPP_TRAPPED = 2,
    ZAPP_OUT_OF_GAS = 3,
    ZAPP_NOT_CALLABLE = 4, /* No such zApp, or it takes no calls, runs already, or too many do. */
} zapp_status;

/* How a call of another zApp ended. Unless it ended well, all that it did is undone. */
typedef struct {
    zapp_status status;
    zapp_code code;  /* Of a revert. */
    uint32_t length; /* Of the result, to be copied with zapp_result. */
} zapp_answer;

/* All gas but a 64th of what is left. */
#define ZAPP_ALL_GAS UINT64_MAX

/* Begins the input of a call: the method's name; its arguments are put after it. */
static inline void zapp_put_method(zapp_writer *input, const void *name, uint32_t length) {
    zapp_put_u8(input, (uint8_t)length);
    zapp_put(input, name, length);
}

/* Calls another zApp, which sees this one as its caller. It runs within this request. */
static inline zapp_answer zapp_call(const uint8_t zapp[32], uint64_t gas,
                                    const zapp_writer *input) {
    uint64_t answered = zapp0_call(zapp, gas, input->bytes, input->length);
    zapp_answer answer = {(zapp_status)(answered >> 32), ZAPP_OK, (uint32_t)answered};
    if (answer.status == ZAPP_REVERTED) zapp0_result(&answer.code, 0, sizeof answer.code);
    return answer;
}

/* The revert that a failed call is passed on as: the other zApp's own, if it is one. */
ZAPP_CHECKED zapp_code zapp_passed_on(zapp_answer answer) {
    if (answer.status == ZAPP_ENDED_WELL) return ZAPP_OK;
    bool own = answer.status == ZAPP_REVERTED && answer.code > 0 && answer.code <= INT32_MAX;
    return own ? answer.code : ZAPP_CALL_FAILED;
}

/* The result of a call that ended well. One of another length ends this call, too, since nobody
 * could undo the other alone. */
static inline void zapp_result(zapp_answer answer, void *to, uint32_t length) {
    if (answer.length != length) ZAPP_ABORT("a result of another type");
    zapp0_result(to, 0, length);
}

/* Where a message to another chain goes. Messages of one zApp to one contract under one label are
 * numbered from 1, and the contract accepts them in that order. The host reads this very layout. */
typedef struct {
    uint64_t chain; /* EIP-155 id. */
    uint8_t contract[32];
    uint8_t receiver[32];
    uint64_t gas; /* That the call is given there. */
    uint8_t label[32];
    uint32_t label_length;
} zapp_destination;

/* Sends a message of at most 16 KiB. */
static inline void zapp_post(const zapp_destination *to, zapp_bytes payload) {
    zapp0_post(to, 80 + to->label_length, payload.at, payload.length);
}

/* What members saw at a source of the request. Whoever calls names the sources: compare `source`
 * with those that the zApp trusts. */
typedef struct {
    uint8_t source[32];
    uint8_t kind; /* 0 no value, 1 a number, 2 text. */
    uint8_t value[256];
    uint32_t length; /* Of a text. */
} zapp_pulled;

/* False if the request names fewer sources; the first is number 0. */
static inline bool zapp_pull(uint32_t index, zapp_pulled *pulled) {
    int32_t length = zapp0_pull(&index, sizeof index, pulled, 33 + sizeof pulled->value);
    pulled->length = length < 33 ? 0 : (uint32_t)length - 33;
    return length >= 0;
}

/* The number, times 10 to the power of the source's decimal places. */
static inline int64_t zapp_pulled_integer(const zapp_pulled *pulled) {
    int64_t value;
    __builtin_memcpy(&value, pulled->value, sizeof value);
    return value;
}

/* ---- Entry ----------------------------------------------------------------------------------- */

typedef enum {
    ZAPP_INIT = 0,    /* Runs once, when the zApp is deployed. */
    ZAPP_CALL = 1,    /* A signed call; its writes are kept. */
    ZAPP_VIEW = 2,    /* A query; the host refuses writes. */
    ZAPP_MIGRATE = 3, /* Runs once on the state that the module before left. */
} zapp_op;

/* A request as the zApp sees it. */
typedef struct {
    zapp_op op;
    zapp_bytes method;
    zapp_reader args;
} zapp_request;

/* Whether the request is for the method of this name. */
#define ZAPP_IS(request, name) zapp_is((request), ZAPP_TEXT(name))

static inline bool zapp_is(const zapp_request *request, const char *name, uint32_t length) {
    return request->method.length == length && zapp_equal(request->method.at, name, length);
}

enum { ZAPP_METHOD_BYTES_MAX = 64 };

/* Reads the input: length of the method's name in one byte, the name, the arguments. */
ZAPP_CHECKED zapp_code zapp_enter(int32_t op, uint32_t length, uint8_t *input, uint32_t room,
                                  zapp_request *request) {
    if (length > room) return ZAPP_INPUT_LENGTH;
    zapp0_input(input, 0, length);
    if (op < ZAPP_INIT || op > ZAPP_MIGRATE) return ZAPP_UNKNOWN_METHOD;
    request->op = (zapp_op)op;
    request->args = zapp_reader_on(input, length);
    uint8_t name_length = zapp_read_u8(&request->args);
    request->method = zapp_take(&request->args, name_length);
    bool named = !request->args.spoilt && name_length <= ZAPP_METHOD_BYTES_MAX;
    return named ? ZAPP_OK : ZAPP_ARGUMENTS;
}

/* Exports `zapp_code run(zapp_request *)` as the zApp's entry. The longest arguments of a method
 * have so many bytes; longer inputs revert with ZAPP_INPUT_LENGTH. */
#define ZAPP(run, arguments_bytes_max)                                                            \
    __attribute__((export_name("zapp_main"))) zapp_code zapp_main(int32_t op, uint32_t length) {  \
        uint8_t input[1 + ZAPP_METHOD_BYTES_MAX + (arguments_bytes_max)];                         \
        zapp_request request;                                                                     \
        ZAPP_TRY(zapp_enter(op, length, input, sizeof input, &request));                          \
        return run(&request);                                                                     \
    }                                                                                             \
    _Static_assert(sizeof(zapp_destination) >= 112, "the host reads 80 bytes and the label")

/* Attaches a file as the module's description, by which `zq` reads and writes arguments, results,
 * reverts and events. The file is looked for where clang is started, and along -I. */
#define ZAPP_ABI(file)                                                                            \
    __asm__(".section .custom_section.zapp.abi,\"\",@\n.incbin \"" file "\"\n.text\n")

#endif
