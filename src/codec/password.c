/* The context of libcrypt is too large for a small stack. (Its crypt_rn, as sanitizers bring a
 * crypt_r of their own, which keeps the library from being linked.) */
#include "codec/password.h"

#include <crypt.h>
#include <openssl/crypto.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"

#include "base/banned.h"

enum { HASH_LENGTH = 60, COST_LIMIT = 16 };

bool password_hash_is_valid(const char *hash)
{
    static const char *const prefixes[] = { "$2a$", "$2b$", "$2y$" };
    bool is_known = false;

    if (strlen(hash) != HASH_LENGTH)
        return false;
    for (size_t i = 0; i < COUNT(prefixes); i++)
        is_known = is_known || text_starts(hash, prefixes[i]);
    int cost = (hash[4] - '0') * 10 + hash[5] - '0';
    return is_known && cost >= 4 && cost <= COST_LIMIT && hash[6] == '$';
}

bool password_verify(const char *hash, const char *password)
{
    if (!password_hash_is_valid(hash))
        return false;
    struct crypt_data *data = NEW(struct crypt_data);
    const char *made = crypt_rn(password, hash, data, (int)sizeof(*data));
    bool is_same = made && strlen(made) == HASH_LENGTH &&
                   CRYPTO_memcmp(made, hash, HASH_LENGTH) == 0;
    OPENSSL_cleanse(data, sizeof(*data));
    free(data);
    return is_same;
}
