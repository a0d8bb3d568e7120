/* Passwords kept as bcrypt hashes (libcrypt), as htpasswd -B writes them. */
#ifndef BERTH_CODEC_PASSWORD_H
#define BERTH_CODEC_PASSWORD_H

#include <stdbool.h>

/* "$2a$", "$2b$" or "$2y$", a cost of two digits, and the rest: sixty characters in all. */
bool password_hash_is_valid(const char *hash);
/* Costs what the hash says, tens of milliseconds mostly. False for an invalid hash, too. */
bool password_verify(const char *hash, const char *password);

#endif
