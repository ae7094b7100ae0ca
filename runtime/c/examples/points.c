/*
 * Points that an owner gives away and holders pass on; and one method for each thing more that a
 * language's SDK must be able to do.
 *
 * The same zApp as runtime/zapps/points in Rust: one table of calls, runtime/tests/languages, holds
 * for both, and for the one in AssemblyScript.
 */
#include "zapp.h"

ZAPP_ABI("points.abi.json");

enum {
    ZERO_AMOUNT = ZAPP_OWN, /* Nothing would move. */
    TOO_FEW,                /* The holder has less than the amount. */
    NO_NAME,                /* A name has at least one character. */
};

enum { NAME_BYTES_MAX = 16, PAGE = 4 };

/* A key that signs requests, or a zApp's id. */
typedef struct {
    uint8_t bytes[32];
} id;

static id read_id(zapp_reader *args) {
    id read;
    zapp_read(args, read.bytes, sizeof read.bytes);
    return read;
}

static void put_id(zapp_writer *writer, const id *put) {
    zapp_put(writer, put->bytes, sizeof put->bytes);
}

static id caller(void) {
    id caller;
    zapp_caller(caller.bytes);
    return caller;
}

static zapp_code answer_u64(uint64_t value) {
    ZAPP_WRITER(answer, 8);
    zapp_put_u64(&answer, value);
    zapp_output(&answer);
    return ZAPP_OK;
}

/* ---- State ---- */

static zapp_key of_holder(const id *holder) {
    zapp_key key = ZAPP_KEY("h");
    zapp_key_add(&key, holder->bytes, sizeof holder->bytes);
    return key;
}

static zapp_code points_of(const id *holder, uint64_t *amount) {
    zapp_key key = of_holder(holder);
    return zapp_get_u64(&key, amount);
}

/* No points are no entry. */
static void hold(const id *holder, uint64_t amount) {
    zapp_key key = of_holder(holder);
    if (amount == 0) {
        zapp_delete(&key);
    } else {
        zapp_set_u64(&key, amount);
    }
}

static zapp_code credit(const id *holder, uint64_t amount, uint64_t *has) {
    ZAPP_TRY(points_of(holder, has));
    ZAPP_TRY(zapp_add_u64(*has, amount, has));
    hold(holder, *has);
    return ZAPP_OK;
}

static zapp_code load_owner(id *owner) {
    zapp_key key = ZAPP_KEY("owner");
    return zapp_load(&key, owner->bytes, sizeof owner->bytes);
}

static zapp_code only_owner(void) {
    id owner, from = caller();
    ZAPP_TRY(load_owner(&owner));
    ZAPP_ENSURE(zapp_equal(owner.bytes, from.bytes, sizeof from.bytes), ZAPP_NOT_OWNER);
    return ZAPP_OK;
}

static zapp_code rename_to(zapp_bytes name) {
    ZAPP_ENSURE(name.length > 0, NO_NAME);
    zapp_key key = ZAPP_KEY("name");
    ZAPP_WRITER(value, 2 + NAME_BYTES_MAX);
    zapp_put_bytes(&value, name);
    zapp_set(&key, value.bytes, value.length);
    return ZAPP_OK;
}

/* ---- Deployment and upgrade ---- */

static zapp_code init(zapp_reader *args) {
    zapp_bytes name = zapp_read_text(args, NAME_BYTES_MAX);
    ZAPP_TRY(zapp_end(args));
    id owner = caller();
    zapp_key key = ZAPP_KEY("owner");
    zapp_set(&key, owner.bytes, sizeof owner.bytes);
    return rename_to(name);
}

static zapp_code migrate(zapp_reader *args) {
    zapp_bytes name = zapp_read_text(args, NAME_BYTES_MAX);
    ZAPP_TRY(zapp_end(args));
    return rename_to(name);
}

/* ---- Calls ---- */

static zapp_code give(zapp_reader *args) {
    id to = read_id(args);
    uint64_t amount = zapp_read_u64(args), total, has;
    ZAPP_TRY(zapp_end(args));
    ZAPP_TRY(only_owner());
    ZAPP_ENSURE(amount > 0, ZERO_AMOUNT);
    zapp_key key = ZAPP_KEY("total");
    ZAPP_TRY(zapp_get_u64(&key, &total));
    ZAPP_TRY(zapp_add_u64(total, amount, &total));
    zapp_set_u64(&key, total);
    ZAPP_TRY(credit(&to, amount, &has));

    ZAPP_WRITER(given, 40);
    put_id(&given, &to);
    zapp_put_u64(&given, amount);
    ZAPP_EMIT("given", &given);
    ZAPP_LOG("given");
    return answer_u64(has);
}

static zapp_code pass(zapp_reader *args) {
    id to = read_id(args), from = caller();
    uint64_t amount = zapp_read_u64(args), left, has;
    ZAPP_TRY(zapp_end(args));
    ZAPP_ENSURE(amount > 0, ZERO_AMOUNT);
    ZAPP_TRY(points_of(&from, &left));
    ZAPP_ENSURE(zapp_sub_u64(left, amount, &left) == ZAPP_OK, TOO_FEW);
    /* Written before the credit is read: passing to oneself moves nothing. */
    hold(&from, left);
    ZAPP_TRY(credit(&to, amount, &has));

    ZAPP_WRITER(passed, 72);
    put_id(&passed, &from);
    put_id(&passed, &to);
    zapp_put_u64(&passed, amount);
    ZAPP_EMIT("passed", &passed);
    ZAPP_TRY(points_of(&from, &left));
    return answer_u64(left);
}

static zapp_code forgo(zapp_reader *args) {
    ZAPP_TRY(zapp_end(args));
    id from = caller();
    uint64_t total, has;
    zapp_key key = ZAPP_KEY("total");
    ZAPP_TRY(zapp_get_u64(&key, &total));
    ZAPP_TRY(points_of(&from, &has));
    ZAPP_TRY(zapp_sub_u64(total, has, &total));
    zapp_set_u64(&key, total);
    hold(&from, 0);
    return ZAPP_OK;
}

static zapp_code clear(zapp_reader *args) {
    ZAPP_TRY(zapp_end(args));
    ZAPP_TRY(only_owner());
    zapp_key holder = ZAPP_KEY("h"), total = ZAPP_KEY("total");
    uint32_t prefix = holder.length;
    while (zapp_next(&holder, prefix)) zapp_delete(&holder);
    zapp_delete(&total);
    return ZAPP_OK;
}

static zapp_code pass_at(zapp_reader *args) {
    id other = read_id(args), to = read_id(args);
    uint64_t amount = zapp_read_u64(args);
    ZAPP_TRY(zapp_end(args));

    ZAPP_WRITER(input, 64);
    zapp_put_method(&input, ZAPP_TEXT("pass"));
    put_id(&input, &to);
    zapp_put_u64(&input, amount);
    zapp_answer answer = zapp_call(other.bytes, ZAPP_ALL_GAS, &input);
    ZAPP_TRY(zapp_passed_on(answer));

    uint8_t left[8];
    zapp_result(answer, left, sizeof left);
    zapp_writer output = {left, sizeof left, sizeof left};
    zapp_output(&output);
    return ZAPP_OK;
}

static zapp_code try_at(zapp_reader *args) {
    id other = read_id(args);
    zapp_bytes method = zapp_read_text(args, 16);
    uint64_t gas = zapp_read_u64(args);
    ZAPP_TRY(zapp_end(args));

    ZAPP_WRITER(input, 32);
    zapp_put_method(&input, method.at, method.length);
    zapp_answer answer = zapp_call(other.bytes, gas, &input);
    if (answer.status == ZAPP_ENDED_WELL) zapp_result(answer, 0, 0);

    ZAPP_WRITER(output, 5);
    zapp_put_u8(&output, (uint8_t)answer.status);
    zapp_put_u32(&output, answer.code);
    zapp_output(&output);
    return ZAPP_OK;
}

static zapp_code send(zapp_reader *args) {
    zapp_destination to;
    to.chain = zapp_read_u64(args);
    zapp_read(args, to.contract, sizeof to.contract);
    zapp_read(args, to.receiver, sizeof to.receiver);
    to.gas = zapp_read_u64(args);
    zapp_bytes label = zapp_read_bytes(args, sizeof to.label);
    zapp_bytes payload = zapp_read_bytes(args, 64);
    ZAPP_TRY(zapp_end(args));
    to.label_length = label.length;
    __builtin_memcpy(to.label, label.at, label.length);
    zapp_post(&to, payload);
    return ZAPP_OK;
}

static zapp_code seen(zapp_reader *args) {
    zapp_pulled pulled;
    uint32_t index = zapp_read_u32(args);
    ZAPP_TRY(zapp_end(args));
    bool any = zapp_pull(index, &pulled);

    ZAPP_WRITER(answer, 77);
    zapp_put_bool(&answer, any);
    if (any) {
        zapp_bytes text = {pulled.value, pulled.length};
        zapp_put(&answer, pulled.source, sizeof pulled.source);
        zapp_put_bool(&answer, pulled.kind == 1);
        if (pulled.kind == 1) zapp_put_u64(&answer, (uint64_t)zapp_pulled_integer(&pulled));
        zapp_put_bool(&answer, pulled.kind == 2);
        if (pulled.kind == 2) {
            ZAPP_ENSURE(text.length <= 32, ZAPP_ARGUMENTS);
            zapp_put_bytes(&answer, text);
        }
    }
    zapp_output(&answer);
    return ZAPP_OK;
}

static zapp_code stop(zapp_reader *args) {
    zapp_bytes message = zapp_read_text(args, 16);
    ZAPP_TRY(zapp_end(args));
    zapp0_abort(message.at, message.length);
}

static zapp_code crash(zapp_reader *args) {
    ZAPP_TRY(zapp_end(args));
    zapp_key none = ZAPP_KEY("");
    zapp_delete(&none);
    return ZAPP_OK;
}

static zapp_code spin(zapp_reader *args) {
    ZAPP_TRY(zapp_end(args));
    while (true) {
    }
}

/* ---- Views ---- */

static zapp_code held(zapp_reader *args) {
    id holder = read_id(args);
    uint64_t amount;
    ZAPP_TRY(zapp_end(args));
    ZAPP_TRY(points_of(&holder, &amount));
    return answer_u64(amount);
}

static zapp_code page(zapp_reader *args) {
    zapp_key key = ZAPP_KEY("h");
    uint32_t prefix = key.length;
    if (zapp_read_bool(args)) {
        id after = read_id(args);
        key = of_holder(&after);
    }
    ZAPP_TRY(zapp_end(args));

    ZAPP_WRITER(entries, PAGE * 40);
    uint16_t count = 0;
    for (; count < PAGE && zapp_next(&key, prefix); count++) {
        uint64_t amount;
        ZAPP_ENSURE(key.length == prefix + sizeof(id), ZAPP_STATE);
        ZAPP_TRY(zapp_get_u64(&key, &amount));
        zapp_put(&entries, key.bytes + prefix, sizeof(id));
        zapp_put_u64(&entries, amount);
    }
    ZAPP_WRITER(answer, 2 + PAGE * 40);
    zapp_put_u16(&answer, count);
    zapp_put(&answer, entries.bytes, entries.length);
    zapp_output(&answer);
    return ZAPP_OK;
}

static zapp_code about(zapp_reader *args) {
    zapp_key name = ZAPP_KEY("name"), of_total = ZAPP_KEY("total");
    uint8_t named[2 + NAME_BYTES_MAX];
    uint64_t total;
    id owner;
    ZAPP_TRY(zapp_end(args));
    int32_t length = zapp_get(&name, named, sizeof named);
    ZAPP_ENSURE(length >= 0 && length <= (int32_t)sizeof named, ZAPP_STATE);
    ZAPP_TRY(load_owner(&owner));
    ZAPP_TRY(zapp_get_u64(&of_total, &total));

    ZAPP_WRITER(answer, sizeof named + 40);
    zapp_put(&answer, named, (uint32_t)length);
    put_id(&answer, &owner);
    zapp_put_u64(&answer, total);
    zapp_output(&answer);
    return ZAPP_OK;
}

static zapp_code context(zapp_reader *args) {
    ZAPP_TRY(zapp_end(args));
    uint8_t ids[160];
    zapp_caller(ids);
    zapp_origin(ids + 32);
    zapp_self(ids + 64);
    zapp_request_id(ids + 96);
    zapp_committee(ids + 128);

    ZAPP_WRITER(answer, sizeof ids + 16);
    zapp_put(&answer, ids, sizeof ids);
    zapp_put_u64(&answer, zapp_height());
    zapp_put_u64(&answer, zapp_time_ms());
    zapp_output(&answer);
    return ZAPP_OK;
}

static zapp_code digests(zapp_reader *args) {
    zapp_bytes data = zapp_read_bytes(args, 64);
    ZAPP_TRY(zapp_end(args));
    uint64_t before = zapp0_gas_left();
    uint8_t hashes[96];
    zapp_sha256(data, hashes);
    zapp_sha3_256(data, hashes + 32);
    zapp_keccak256(data, hashes + 64);

    ZAPP_WRITER(answer, sizeof hashes + 1);
    zapp_put(&answer, hashes, sizeof hashes);
    zapp_put_bool(&answer, zapp0_gas_left() < before);
    zapp_output(&answer);
    return ZAPP_OK;
}

static zapp_code verify(zapp_reader *args) {
    uint8_t key[32], signature[64];
    zapp_read(args, key, sizeof key);
    zapp_read(args, signature, sizeof signature);
    zapp_bytes message = zapp_read_bytes(args, 64);
    ZAPP_TRY(zapp_end(args));

    ZAPP_WRITER(answer, 1);
    zapp_put_bool(&answer, zapp_ed25519_verify(key, message, signature));
    zapp_output(&answer);
    return ZAPP_OK;
}

static zapp_code meddle(zapp_reader *args) {
    ZAPP_TRY(zapp_end(args));
    zapp_key key = ZAPP_KEY("total");
    zapp_set_u64(&key, 0);
    return ZAPP_OK;
}

/* ---- Which is meant ---- */

static zapp_code run_call(zapp_request *request) {
    if (ZAPP_IS(request, "give")) return give(&request->args);
    if (ZAPP_IS(request, "pass")) return pass(&request->args);
    if (ZAPP_IS(request, "forgo")) return forgo(&request->args);
    if (ZAPP_IS(request, "clear")) return clear(&request->args);
    if (ZAPP_IS(request, "pass_at")) return pass_at(&request->args);
    if (ZAPP_IS(request, "try_at")) return try_at(&request->args);
    if (ZAPP_IS(request, "send")) return send(&request->args);
    if (ZAPP_IS(request, "seen")) return seen(&request->args);
    if (ZAPP_IS(request, "stop")) return stop(&request->args);
    if (ZAPP_IS(request, "crash")) return crash(&request->args);
    if (ZAPP_IS(request, "spin")) return spin(&request->args);
    return ZAPP_UNKNOWN_METHOD;
}

static zapp_code run_view(zapp_request *request) {
    if (ZAPP_IS(request, "held")) return held(&request->args);
    if (ZAPP_IS(request, "page")) return page(&request->args);
    if (ZAPP_IS(request, "about")) return about(&request->args);
    if (ZAPP_IS(request, "context")) return context(&request->args);
    if (ZAPP_IS(request, "digests")) return digests(&request->args);
    if (ZAPP_IS(request, "verify")) return verify(&request->args);
    if (ZAPP_IS(request, "meddle")) return meddle(&request->args);
    return ZAPP_UNKNOWN_METHOD;
}

static zapp_code run(zapp_request *request) {
    switch (request->op) {
    case ZAPP_INIT: return init(&request->args);
    case ZAPP_MIGRATE: return migrate(&request->args);
    case ZAPP_CALL: return run_call(request);
    case ZAPP_VIEW: return run_view(request);
    }
    return ZAPP_UNKNOWN_METHOD;
}

/* The arguments of `send` are the longest. */
ZAPP(run, 8 + 32 + 32 + 8 + (2 + 32) + (2 + 64));
