/* Whatever a CDI file holds: it is read and checked or refused, and what was read can be searched.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/memory.h"
#include "spec/cdi.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(cdi_spec_done) struct cdi_spec spec = {};
    struct error err = {};

    if (cdi_spec_decode((const char *)data, size, &spec, &err) < 0)
        return 0;
    for (size_t i = 0; i < spec.devices.count; i++) {
        const struct cdi_device *device = &JSON_ITEMS(&spec.devices, const struct cdi_device)[i];
        CLEANUP(free) char *name = xasprintf("%s=%s", spec.kind, device->name);

        if (!cdi_name_is_valid(name) || cdi_spec_find(&spec, device->name) != device)
            abort();
    }
    return 0;
}
