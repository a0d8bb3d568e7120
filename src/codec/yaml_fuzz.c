/* YAML comes from files of strangers; what was read must be written and read again as the same. */
#include "codec/yaml.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(yaml_drop) struct yaml *documents = NULL, *again = NULL;
    CLEANUP(str_done) struct str text = {}, json = {};
    struct error err;

    if (yaml_parse((const char *)data, size, "fuzz", &documents, &err) < 0)
        return 0;
    yaml_write(documents, &text);
    yaml_write_json(documents, &json);
    yaml_parse(str_text(&text), text.length, "again", &again, &err);
    return 0;
}
