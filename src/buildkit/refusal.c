/* What a build may not be asked for here: said in words, never passed over. */
#include "buildkit/internal.h"
#include "codec/protobuf.h"

#include "base/banned.h"

int source_policy_refuse(struct error *err)
{
    return error_set(err, ERROR_UNSUPPORTED,
                     "source policies are not supported by this engine: it cannot deny or replace "
                     "the sources of a build");
}

/* Policy: version = 1, rules = 2. One without rules allows everything. */
int source_policy_check(const struct protobuf_field *field, struct error *err)
{
    struct protobuf_reader inside = protobuf_inside(field);
    struct protobuf_field part;
    int found;

    while ((found = protobuf_next(&inside, &part, err)) > 0)
        if (part.number == 2)
            return source_policy_refuse(err);
    return found;
}
