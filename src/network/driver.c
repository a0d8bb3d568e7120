/* The kinds of networks that there are. */
#include "network/driver.h"

#include <string.h>

#include "base/text.h"

#include "base/banned.h"

/* No namespace of its own, and one without links: nothing to be done for either. */
const struct network_driver driver_host = { .name = "host" };
const struct network_driver driver_null = { .name = "null" };

static const struct network_driver *const drivers[] = {
    &driver_bridge, &driver_host, &driver_ipvlan, &driver_macvlan, &driver_null,
};

const struct network_driver *network_driver_find(const char *name)
{
    if (text_is_empty(name) || strcmp(name, "default") == 0)
        return &driver_bridge;
    for (size_t i = 0; i < COUNT(drivers); i++)
        if (strcmp(drivers[i]->name, name) == 0)
            return drivers[i];
    return NULL;
}
