/* What was accepted is written in a form that is accepted again, and the same from then on. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "spec/runtime_config.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(runtime_config_done) struct runtime_config config = {}, again = {};
    CLEANUP(str_done) struct str text = {}, twice = {};

    if (runtime_config_decode((const char *)data, size, &config, NULL) < 0)
        return 0;
    runtime_config_encode(&config, &text);
    if (runtime_config_decode(text.data, text.length, &again, NULL) < 0)
        abort();
    runtime_config_encode(&again, &twice);
    if (strcmp(str_text(&text), str_text(&twice)) != 0)
        abort();
    return 0;
}
