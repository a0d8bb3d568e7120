/* Where entries of a container's log go besides: what the engine tells berth-log, as JSON. */
#ifndef BERTH_FORWARD_SETTINGS_H
#define BERTH_FORWARD_SETTINGS_H

#include "base/map.h"
#include "codec/json.h"

struct forward_settings {
    char *driver;  /* "syslog" or "journald" */
    char *tag;     /* expanded */
    char *address; /* syslog: as syslog_address_parse takes it */
    char *format;  /* syslog: "", "rfc3164", "rfc5424", "rfc5424micro" */
    int64_t facility;
    char *ca_path, *cert_path, *key_path;
    bool skip_verify;
    struct map fields; /* journald: texts that go with each entry */
};
extern const struct json_field forward_settings_fields[];

#endif
