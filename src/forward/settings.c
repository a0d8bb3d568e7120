/* The shape of the settings. */
#include "forward/settings.h"

#include "base/banned.h"

/* clang-format off */
const struct json_field forward_settings_fields[] = {
    JSON_STRING(struct forward_settings, driver,      "Driver"),
    JSON_STRING(struct forward_settings, tag,         "Tag"),
    JSON_STRING(struct forward_settings, address,     "Address"),
    JSON_STRING(struct forward_settings, format,      "Format"),
    JSON_INT64 (struct forward_settings, facility,    "Facility"),
    JSON_STRING(struct forward_settings, ca_path,     "CAPath"),
    JSON_STRING(struct forward_settings, cert_path,   "CertPath"),
    JSON_STRING(struct forward_settings, key_path,    "KeyPath"),
    JSON_BOOL  (struct forward_settings, skip_verify, "SkipVerify"),
    JSON_TEXTS (struct forward_settings, fields,      "Fields"),
    JSON_END,
};
/* clang-format on */
