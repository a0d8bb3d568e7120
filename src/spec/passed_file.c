/* The answer as JSON. */
#include "spec/passed_file.h"

#include "base/banned.h"

/* clang-format off */
const struct json_field passed_file_answer_fields[] = {
    JSON_INT64 (struct passed_file_answer, status,  "Status"),
    JSON_STRING(struct passed_file_answer, message, "Message"),
    JSON_END,
};
/* clang-format on */
