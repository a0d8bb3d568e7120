/* See the header. */
#include "cli/distribution.h"

#include "base/memory.h"
#include "cli/credentials.h"

#include "base/banned.h"

int distribution_call(struct cli *cli, const char *method, const struct reference *reference,
                      const char *what, bool insecure, const char *body, struct json **out,
                      struct error *err)
{
    CLEANUP(client_path_done) struct client_path path = {};
    CLEANUP(free) char *name = reference_canonical(reference);
    CLEANUP(free) char *server = credentials_server(reference->domain);
    struct map headers;

    if (credentials_headers(server, &headers, err) < 0)
        return -1;
    client_path_begin(&path, "/distribution");
    client_path_segment(&path, name);
    client_path_begin(&path, "/%s", what);
    client_path_query(&path, "insecure", insecure ? "1" : NULL);
    int result = client_call_with(cli->client, method, &path, &headers, body, out, err);
    map_done(&headers);
    return result;
}
