/* .env files lie beside the compose files of strangers. */
#include "compose/dotenv.h"

#include "base/memory.h"

#include "base/banned.h"

static const char *get(void *data, const char *name)
{
    (void)data;
    return name[0] == 'A' ? "value" : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(free) char *text = xstrndup((const char *)data, size);
    CLEANUP(map_done) struct map values = {}, raw = {};
    struct variable_source source = { .get = get };
    struct error err;

    map_init_empty(&values, free);
    map_init_empty(&raw, free);
    dotenv_parse(text, &source, &values, &err);
    dotenv_parse_raw(text, &raw, &err);
    return 0;
}
