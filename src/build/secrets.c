/* Values that are overwritten. */
#include "build/secrets.h"

#include <string.h>

#include "base/banned.h"

void secret_done(struct str *value)
{
    if (value->data)
        explicit_bzero(value->data, value->capacity);
    str_done(value);
}
