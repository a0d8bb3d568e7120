/* Filters come from clients: any bytes, any pattern. */
#include "api/filters.h"

#include "base/memory.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const accepted[] = { "name", "label", "dangling", "until", NULL };
    CLEANUP(filters_done) struct filters filters = {};
    CLEANUP(free) char *text = xstrndup((const char *)data, size);
    struct map labels = {};
    struct error err;
    int64_t until_ns;
    bool value;

    if (filters_parse(text, accepted, &filters, &err) < 0)
        return 0;
    filters_match_pattern(&filters, "name", "a-name_1.2");
    filters_match_prefix(&filters, "name", "a-name_1.2");
    filters_match_labels(&filters, &labels);
    filters_bool(&filters, "dangling", false, &value, &err);
    filters_until(&filters, &until_ns, &err);
    return 0;
}
