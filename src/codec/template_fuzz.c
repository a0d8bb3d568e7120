/* Any text is a template or is refused; running it ends. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "codec/template.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char sample[] = "{\"A\":\"text\",\"B\":[1,2.5,\"x\",null,{\"C\":true}],"
                             "\"D\":{\"k\":\"v\",\"z\":[]},\"N\":null,\"I\":-7}";

static struct json *answer(void *context UNUSED, const struct json *dot UNUSED,
                           const char *name UNUSED, const char *const *arguments UNUSED,
                           size_t count)
{
    struct json *value = NULL;

    if (count == 1)
        json_parse("[1]", 3, &value, NULL);
    return value;
}

static void ignore(void *context UNUSED, const char *name, const char *argument UNUSED)
{
    if (!name)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct template_methods methods = { answer, NULL };
    CLEANUP(template_free) struct template *template = NULL;
    CLEANUP(json_free) struct json *value = NULL;
    CLEANUP(free) char *text = xstrndup((const char *)data, size);
    CLEANUP(str_done) struct str out = {};
    struct error err;

    if (template_parse(text, &template, &err) < 0)
        return 0;
    template_fields(template, ignore, NULL);
    json_parse(sample, strlen(sample), &value, &err);
    template_run(template, value, &methods, &out, &err);
    return 0;
}
