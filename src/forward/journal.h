/* Entries for systemd's journal, in its native protocol. */
#ifndef BERTH_FORWARD_JOURNAL_H
#define BERTH_FORWARD_JOURNAL_H

#include "base/buf.h"
#include "forward/entry.h"
#include "forward/settings.h"

#define JOURNAL_SOCKET_PATH "/run/systemd/journal/socket"

/* A name as fields have it: upper case, letters, digits and '_' only, none of the last in front.
 * Yours. */
char *journal_field_name(const char *text);

/* One entry: the fields of the settings, then its own. */
void journal_format(const struct forward_settings *settings, const struct forward_entry *entry,
                    const char *text, struct buf *out);

#endif
