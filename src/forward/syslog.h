/* Syslog messages and addresses, as Docker's driver has them. */
#ifndef BERTH_FORWARD_SYSLOG_H
#define BERTH_FORWARD_SYSLOG_H

#include "base/error.h"
#include "base/str.h"
#include "forward/entry.h"
#include "forward/settings.h"

enum syslog_transport {
    SYSLOG_LOCAL, /* the machine's own: /dev/log */
    SYSLOG_UNIX,
    SYSLOG_UNIXGRAM,
    SYSLOG_UDP,
    SYSLOG_TCP,
    SYSLOG_TLS,
};

struct syslog_address {
    enum syslog_transport transport;
    char *path;        /* unix, unixgram */
    char *host, *port; /* the others; host without brackets */
};
/* "", unix:///path, unixgram:///path, udp://host[:port], tcp://…, tcp+tls://… INVALID with Docker's
 * text. */
int syslog_address_parse(const char *text, struct syslog_address *out, struct error *err);
void syslog_address_done(struct syslog_address *address);
CLEANUP_VALUE(syslog_address_done, struct syslog_address)

/* "" is daemon. -1 if there is none of that name or number. */
int syslog_facility_parse(const char *text);
bool syslog_format_is_known(const char *text);

/* One message with its newline, and with its length in front over TLS in the newer formats (RFC
 * 5425). */
void syslog_format(const struct forward_settings *settings, enum syslog_transport transport,
                   const char *host_name, int pid, const struct forward_entry *entry,
                   const char *text, struct str *out);

#endif
