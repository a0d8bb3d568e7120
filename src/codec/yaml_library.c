/* libyaml, loaded when it is first used (base/library.h). Where it is missing, no parser can be
 * made. */
#include <yaml.h>

#include "base/library.h"

#include "base/banned.h"

static struct library library = LIBRARY("libyaml-0.so.2");

/* clang-format off */
#define FORWARD(type, symbol, parameters, arguments, otherwise) LIBRARY_FORWARD(&library, type, symbol, parameters, arguments, otherwise)

FORWARD(int,  yaml_parser_initialize,       (yaml_parser_t *parser),                                         (parser),             0)
FORWARD(void, yaml_parser_delete,           (yaml_parser_t *parser),                                         (parser),             (void)0)
FORWARD(void, yaml_parser_set_input_string, (yaml_parser_t *parser, const unsigned char *text, size_t size), (parser, text, size), (void)0)
FORWARD(int,  yaml_parser_parse,            (yaml_parser_t *parser, yaml_event_t *event),                    (parser, event),      0)
FORWARD(void, yaml_event_delete,            (yaml_event_t *event),                                           (event),              (void)0)
/* clang-format on */
