/* A number that everyone may add to. */
#include "zapp.h"

ZAPP_ABI("counter.abi.json");

static zapp_code add(zapp_reader *args) {
    uint64_t amount = zapp_read_u64(args), total;
    ZAPP_TRY(zapp_end(args));

    zapp_key key = ZAPP_KEY("total");
    ZAPP_TRY(zapp_get_u64(&key, &total));
    ZAPP_TRY(zapp_add_u64(total, amount, &total));
    zapp_set_u64(&key, total);

    ZAPP_WRITER(added, 8);
    zapp_put_u64(&added, amount);
    ZAPP_EMIT("added", &added);

    ZAPP_WRITER(answer, 8);
    zapp_put_u64(&answer, total);
    zapp_output(&answer);
    return ZAPP_OK;
}

static zapp_code get(zapp_reader *args) {
    uint64_t total;
    ZAPP_TRY(zapp_end(args));
    zapp_key key = ZAPP_KEY("total");
    ZAPP_TRY(zapp_get_u64(&key, &total));

    ZAPP_WRITER(answer, 8);
    zapp_put_u64(&answer, total);
    zapp_output(&answer);
    return ZAPP_OK;
}

static zapp_code run(zapp_request *request) {
    if (request->op == ZAPP_INIT) return zapp_end(&request->args);
    if (request->op == ZAPP_CALL && ZAPP_IS(request, "add")) return add(&request->args);
    if (request->op == ZAPP_VIEW && ZAPP_IS(request, "get")) return get(&request->args);
    return ZAPP_UNKNOWN_METHOD;
}

ZAPP(run, 8);
