#include "codec/template.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#include "base/banned.h"

static const char data[] =
    "{\"Name\":\"web\",\"Size\":12,\"Ratio\":0.5,\"On\":true,\"Off\":false,\"Null\":null,\"Empty\":"
    "\"\","
    "\"Html\":\"<a>\",\"List\":[\"x\",\"y\",\"z\"],\"None\":[],\"Labels\":{\"b\":\"2\",\"a\":\"1\"}"
    ","
    "\"Deep\":{\"er\":{\"est\":\"here\"}},\"Nets\":{\"n2\":{\"IP\":\"2\"},\"n1\":{\"IP\":\"1\"}},"
    "\"Big\":18446744073709551615,\"Ports\":[{\"P\":1},{\"P\":2}]}";

/* What a run prints, or the error's text. */
static char *run(const char *text, const struct template_methods *methods)
{
    CLEANUP(template_free) struct template *template = NULL;
    CLEANUP(json_free) struct json *value = NULL;
    struct error err = {};
    struct str out = {};

    cr_assert_eq(json_parse(data, strlen(data), &value, &err), 0, "%s", err.text);
    if (template_parse(text, &template, &err) < 0 ||
        template_run(template, value, methods, &out, &err) < 0) {
        str_done(&out);
        cr_expect_eq(err.kind, ERROR_INVALID);
        return xstrdup(err.text);
    }
    return str_take(&out);
}

static const struct {
    const char *text, *expected;
} runs[] = {
    { "", "" },
    { "plain } text", "plain } text" },
    { "{{.Name}}:{{.Size}}", "web:12" },
    { "{{ .Ratio }} {{.On}} {{.Null}} {{.Big}}", "0.5 true <no value> 18446744073709551615" },
    { "{{.List}} {{.Labels}} {{.None}}", "[x y z] map[a:1 b:2] []" },
    { "{{.Deep.er.est}} {{(.Deep).er.est}} {{$.Deep.er}}", "here here map[est:here]" },
    { "{{json .}}", data },
    { "{{json .Html}}{{json .List}}{{json .Null}}{{json 5}}", "\"<a>\"[\"x\",\"y\",\"z\"]null5" },
    { "a {{- \"b\" -}} c", "abc" },
    { "a {{- /* note */ -}} c{{/* note */}}", "ac" },
    { "{{`raw\\n`}}{{\"\\t\\\"\\x41\\u00e9\"}}{{'a'}}", "raw\\n\t\"A\xc3\xa9"
                                                        "97" },
    { "{{0x10}} {{-3}} {{1.5}} {{true}} {{1e3}}", "16 -3 1.5 true 1000" },
    { "{{if .On}}a{{else}}b{{end}}{{if .Off}}c{{else if .Empty}}d{{else}}e{{end}}", "ae" },
    { "{{if and .On .Name}}1{{end}}{{if or .Off .Empty}}2{{end}}{{if not .Off}}3{{end}}", "13" },
    { "{{and .Off .Missing}}{{or .Name .Missing}}", "falseweb" },
    { "{{range .List}}{{.}},{{end}}", "x,y,z," },
    { "{{range $i, $e := .List}}{{$i}}={{$e}} {{end}}", "0=x 1=y 2=z " },
    { "{{range $e := .List}}{{$e}}{{end}}", "xyz" },
    { "{{range $k, $v := .Labels}}{{$k}}{{$v}}{{end}}", "a1b2" },
    { "{{range .Nets}}{{.IP}}{{end}}", "12" },
    { "{{range .None}}x{{else}}empty{{end}}{{range .Null}}x{{else}}nil{{end}}", "emptynil" },
    { "{{range .List}}{{if eq . \"y\"}}{{continue}}{{end}}{{.}}{{end}}", "xz" },
    { "{{range .List}}{{if eq . \"y\"}}{{break}}{{end}}{{.}}{{end}}", "x" },
    { "{{range 3}}{{.}}{{end}}", "012" },
    { "{{with .Deep}}{{.er.est}}{{end}}{{with .Empty}}x{{else}}y{{end}}", "herey" },
    { "{{with $x := .Name}}{{$x}}{{.}}{{$.Size}}{{end}}", "webweb12" },
    { "{{$x := 1}}{{if .On}}{{$x = 2}}{{end}}{{$x}}", "2" },
    { "{{$x := 1}}{{if .On}}{{$x := 2}}{{$x}}{{end}}{{$x}}", "21" },
    { "{{index .List 1}} {{index .Labels \"a\"}} {{index .Ports 1 \"P\"}}", "y 1 2" },
    { "{{index .Labels \"none\"}} {{(index .Ports 0).P}}", "<no value> 1" },
    { "{{len .List}}{{len .Labels}}{{len .Name}}", "323" },
    { "{{.Name | upper | printf \"%s-%s\" \"a\"}}", "a-WEB" },
    { "{{upper \"ab\"}} {{lower \"AB\"}} {{title \"ab cd\"}}", "AB ab Ab Cd" },
    { "{{join .List \"+\"}} {{split \"a:b:\" \":\"}} {{json (split \"ab\" \"\")}}",
      "x+y+z [a b ] [\"a\",\"b\"]" },
    { "[{{pad .Name 1 2}}][{{pad .Empty 1 2}}]", "[ web  ][]" },
    { "{{truncate .Name 2}} {{truncate .Name 9}}", "we web" },
    { "{{slice .Name 1}} {{slice .Name 1 2}} {{slice .List 1}}", "eb e [y z]" },
    { "{{print 1 2 \"a\" \"b\" 3}}|{{println 1 \"a\"}}", "1 2ab3|1 a\n" },
    { "{{printf \"%5s|%-5s|%05d|%x|%q|%v|%t|%.1f|%c|%%\" .Name .Name 42 255 .Html .List true "
      "1.25 65}}",
      "  web|web  |00042|ff|\"<a>\"|[x y z]|true|1.2|A|%" },
    { "{{printf \"%d\" \"x\"}} {{printf \"%s\"}} {{printf \"a\" 1}}",
      "%!d(string=x) %!s(MISSING) a%!(EXTRA int=1)" },
    { "{{printf \"%s\" 5}} {{printf \"%.2s\" \"h\xc3\xa9llo\"}} {{printf \"%x\" \"hi\"}}",
      "%!s(int=5) h\xc3\xa9 6869" },
    { "{{eq .Size 12}}{{eq .Name \"x\" \"web\"}}{{ne 1 2}}{{lt 1 2}}{{le 2 2}}{{gt \"b\" \"a\"}}"
      "{{ge 1.5 2}}",
      "truetruetruetruetruetruefalse" },
    { "{{eq .Null nil}}", "true" },
    { "{{html .Html}} {{js \"a'b\"}} {{urlquery \"a b&\"}}", "&lt;a&gt; a\\'b a+b%26" },
    { "{{.Name}}\n{{.Size}}", "web\n12" },
    { "{{.NAME}} {{.SiZe}}", "web 12" },
    /* What fails when it runs. */
    { "{{.name}}", "template parsing error: template: :1:2: executing \"\" at <.name>: map has no "
                   "entry for key \"name\"" },
    { "{{.Foo}}", "template parsing error: template: :1:2: executing \"\" at <.Foo>: map has no "
                  "entry for key \"Foo\"" },
    { "a\nbc{{.Deep.Foo}}", "template parsing error: template: :2:9: executing \"\" at "
                            "<.Deep.Foo>: map has no entry for key \"Foo\"" },
    { "{{.Name.Foo}}", "template parsing error: template: :1:7: executing \"\" at <.Name.Foo>: "
                       "can't evaluate field Foo in type string" },
    { "{{.Null.Foo}}", "template parsing error: template: :1:7: executing \"\" at <.Null.Foo>: "
                       "nil pointer evaluating interface {}.Foo" },
    { "{{index .List 5}}", "template parsing error: template: :1:2: executing \"\" at <index "
                           ".List 5>: error calling index: index out of range: 5" },
    { "{{len 3}}", "template parsing error: template: :1:2: executing \"\" at <len 3>: error "
                   "calling len: len of this type" },
    { "{{len}}", "template parsing error: template: :1:2: executing \"\" at <len>: wrong number "
                 "of args for len: want 1 got 0" },
    { "{{upper .Size}}", "template parsing error: template: :1:2: executing \"\" at <upper "
                         ".Size>: error calling upper: wrong type for value; expected string" },
    { "{{.Name 1}}", "template parsing error: template: :1:2: executing \"\" at <.Name>: Name is "
                     "not a method but has arguments" },
    { "{{range .Name}}{{end}}", "template parsing error: template: :1:8: executing \"\" at "
                                "<.Name>: range can't iterate over web" },
    { "{{nil}}", "template parsing error: template: :1:2: executing \"\" at <nil>: nil is not a "
                 "command" },
    { "{{1 2}}", "template parsing error: template: :1:2: executing \"\" at <1>: can't give "
                 "argument to non-function 1" },
    { "{{$x := $x}}", "template parsing error: template: : undefined variable: $x" },
    { "{{if .Off}}{{$x := 1}}{{else}}{{$x}}{{end}}",
      "template parsing error: template: : undefined variable: $x" },
    /* What does not even parse. */
    { "{{", "template parsing error: template: :1: unclosed action" },
    { "{{.Name", "template parsing error: template: :1: unclosed action" },
    { "\n{{.Name}", "template parsing error: template: :2: unexpected \"}\" in operand" },
    { "{{}}", "template parsing error: template: :1: missing value for command" },
    { "{{foo}}", "template parsing error: template: :1: function \"foo\" not defined" },
    { "{{$x}}", "template parsing error: template: :1: undefined variable \"$x\"" },
    { "{{if .On}}{{$x := 1}}{{end}}{{$x}}",
      "template parsing error: template: :1: undefined variable \"$x\"" },
    { "{{if}}{{end}}", "template parsing error: template: :1: missing value for if" },
    { "{{if .On}}", "template parsing error: template: :1: unexpected EOF" },
    { "{{end}}", "template parsing error: template: :1: unexpected {{end}}" },
    { "{{else}}", "template parsing error: template: :1: unexpected {{else}}" },
    { "{{break}}", "template parsing error: template: :1: {{break}} outside {{range}}" },
    { "{{\"x}}", "template parsing error: template: :1: unterminated quoted string" },
    { "{{(.Name}}", "template parsing error: template: :1: unclosed left paren" },
    { "{{.Name)}}", "template parsing error: template: :1: unexpected right paren" },
    { "{{/* x }}", "template parsing error: template: :1: unclosed comment" },
    { "{{.Name | 5}}",
      "template parsing error: template: :1: non executable command in pipeline stage 2" },
    { "{{1a}}", "template parsing error: template: :1: bad number syntax: \"1a\"" },
    { "{{template \"x\"}}", "template parsing error: template: :1: {{template}} is not supported" },
};

Test(template, does_what_go_does)
{
    for (size_t i = 0; i < COUNT(runs); i++) {
        CLEANUP(free) char *text = run(runs[i].text, NULL);

        cr_expect_str_eq(text, runs[i].expected, "%s\n gave %s\n not  %s", runs[i].text, text,
                         runs[i].expected);
    }
}

static struct json *label(void *context UNUSED, const struct json *dot, const char *name,
                          const char *const *arguments, size_t count)
{
    CLEANUP(str_done) struct str text = {};
    struct json *answer = NULL;

    if (strcmp(name, "Label") != 0 || count != 1)
        return NULL;
    const char *value = json_text(json_get(json_get(dot, "Labels"), arguments[0]));
    json_quote(&text, value ? value : "", value ? strlen(value) : 0);
    cr_assert_eq(json_parse(text.data, text.length, &answer, NULL), 0);
    return answer;
}

Test(template, asks_methods_for_what_is_no_key)
{
    static const struct template_methods methods = { label, NULL };
    CLEANUP(free) char *found = run("{{.Label \"a\"}}{{.Label \"c\"}}{{\"b\" | .Label}}", &methods);
    CLEANUP(free) char *missing = run("{{.Label}}", &methods);

    cr_expect_str_eq(found, "12");
    cr_expect(strstr(missing, "map has no entry for key \"Label\""));
}

static void collect(void *context, const char *name, const char *argument)
{
    str_add_format(context, "%s(%s) ", name, argument ? argument : "");
}

Test(template, lists_what_it_prints)
{
    CLEANUP(template_free) struct template *template = NULL;
    CLEANUP(str_done) struct str fields = {};

    cr_assert_eq(template_parse("{{.ID}}\t{{upper .Names}} {{.Label \"a\"}}{{join (.A.B) \",\"}}"
                                "{{if .X}}{{.Y}}{{end}}",
                                &template, NULL),
                 0);
    template_fields(template, collect, &fields);
    cr_expect_str_eq(fields.data, "ID() Names() Label(a) B() ");
}

Test(template, can_be_stopped)
{
    CLEANUP(free) char *endless = run("{{range 1000000}}{{range 1000000}}{{end}}{{end}}", NULL);
    CLEANUP(str_done) struct str deep = {};

    cr_expect_str_eq(endless, "template runs too long");
    for (int i = 0; i < 100000; i++)
        str_add(&deep, "{{if 1}}");
    CLEANUP(free) char *nested = run(deep.data, NULL);
    cr_expect_str_eq(nested, "template parsing error: template: :1: nested too deeply");
}
