/* Texts of strangers' files: all of them end, with a text or an error. */
#include "compose/variable.h"

#include "base/memory.h"

#include "base/banned.h"

static const char *get(void *data, const char *name)
{
    (void)data;
    return name[0] == 'A' ? "value" : NULL;
}

static void each(void *data, const struct variable_use *use)
{
    (void)data, (void)use;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(free) char *text = xstrndup((const char *)data, size);
    CLEANUP(str_done) struct str out = {};
    struct variable_source source = { .get = get };
    struct error err;
    bool is_malformed;

    variable_expand(text, &source, &out, &is_malformed, &err);
    variable_list(text, each, NULL);
    return 0;
}
