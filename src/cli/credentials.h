/* Who the user is to registries: config.json and the helper programs that keep passwords.
 * https://docs.docker.com/reference/cli/docker/login/#credential-stores */
#ifndef BERTH_CLI_CREDENTIALS_H
#define BERTH_CLI_CREDENTIALS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/map.h"
#include "base/str.h"

#define HUB_SERVER "https://index.docker.io/v1/"

/* The key under which a registry's credentials are kept: HUB_SERVER or "host[:port]". Yours. */
char *credentials_server(const char *name);
/* The registry that an image's name leads to, as such a key. Yours. */
char *credentials_server_of_image(const char *image, struct error *err);

struct user_credentials {
    char *username, *password, *identity_token;
};
void user_credentials_done(struct user_credentials *credentials);
CLEANUP_VALUE(user_credentials_done, struct user_credentials)

/* Nothing stored is no error: the members are NULL then. */
int credentials_load(const char *server, struct user_credentials *out, struct error *err);
/* '*out_warns': they were written to the file without encryption. */
int credentials_store(const char *server, const struct user_credentials *credentials,
                      bool *out_warns, struct error *err);
/* None stored is no error. */
int credentials_erase(const char *server, struct error *err);

/* The header X-Registry-Auth with what is stored for a registry; map_done is the caller's. */
int credentials_headers(const char *server, struct map *out, struct error *err);

/* The value of X-Registry-Config, for builds: all that is stored, by registry. Yours; NULL if there
 * is nothing, or a helper failed. */
char *credentials_all_header(struct error *err);

/* The same as a config.json, with nothing but the credentials; "" if there are none. */
int credentials_all_document(struct str *out, struct error *err);

#endif
