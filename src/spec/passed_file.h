/* One file on its way in or out of a container as a descriptor, between an engine and a client of
 * its unix socket (decision 0039): all that goes over the wire.
 *
 * In: POST /containers/{id}/archive?path=DIRECTORY&name=NAME, and the other parameters of PUT
 * /containers/{id}/archive, upgraded. The client sends one byte and with it the file, open for
 * reading; the engine answers by one JSON document, and ends: {"Status":200,"Message":""}. The
 * status is what PUT would have; 501: nothing was done, send an archive.
 *
 * Out: GET /containers/{id}/archive?path=PATH with "Upgrade: berth-file" is answered as ever, or by
 * 101, with the same X-Docker-Container-Path-Stat. Then comes one byte, and with it the file, open
 * for reading. The client ends the connection when it has copied it. */
#ifndef BERTH_SPEC_PASSED_FILE_H
#define BERTH_SPEC_PASSED_FILE_H

#include <stdint.h>

#include "codec/json.h"

#define PASSED_FILE_PROTOCOL "berth-file"
#define PASSED_FILE_BYTE     "f"
#define PASSED_FILE_LEAST    ((int64_t)1 << 20) /* of a file: an archive of less is as fast */

struct passed_file_answer {
    int64_t status;
    char *message;
};
extern const struct json_field passed_file_answer_fields[];

#endif
