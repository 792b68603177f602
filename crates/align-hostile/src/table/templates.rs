//! Chat templates: programs that come with a downloaded model.

use serde_json::json;

use super::row;
use crate::make::{conversation, nested};
use crate::row::{Content, Row};

pub(super) fn rows() -> Vec<Row> {
    [endless(), huge(), widths(), deep(), wrong(), places(), own(), marks()].into_iter().flatten().collect()
}

/// The template is refused, by its file or as what the data's row makes of it.
fn template(name: &str, source: impl Into<Vec<u8>>) -> Row {
    row(&format!("template: {name}"), "generate")
        .put("model/chat_template.jinja", source)
        .refused(&["template"])
}

fn large(name: &str, source: impl Fn() -> String + Send + Sync + 'static) -> Row {
    let row = row(&format!("template: {name}"), "generate").refused(&["template"]);
    row.make("model/chat_template.jinja", move || source().into_bytes())
}

/// Work without end.
fn endless() -> Vec<Row> {
    let thousands = |body: &str| {
        let begin: String = ["a", "b", "c"].map(|it| format!("{{% for {it} in range(100000) %}}")).concat();
        format!("{begin}{body}{}", "{% endfor %}".repeat(3))
    };
    let doubling = "{% macro a0() %}x{% endmacro %}".to_owned()
        + &(1..61)
            .map(|n| format!("{{% macro a{n}() %}}{{{{ a{0}() }}}}{{{{ a{0}() }}}}{{% endmacro %}}", n - 1))
            .collect::<String>()
        + "{{ a60() }}";
    vec![
        template("three loops of 100,000", thousands("")),
        template("three loops of 100,000 that print", thousands("x")),
        template("a macro that calls two, 60 times", doubling),
        template("a macro that calls itself", "{% macro a() %}{{ a() }}{% endmacro %}{{ a() }}"),
        template(
            "a list that doubles",
            "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}{{ ns.l|length }}",
        ),
        template("a range without end", "{% for i in range(10**18) %}{% endfor %}"),
        template(
            "sums of long lists",
            "{% set l = range(100000)|list %}{% for i in range(100000) %}{% set x = l|sum %}{% endfor %}",
        ),
        template(
            "sorting long lists",
            "{% for i in range(100000) %}{% set x = range(100000)|list|sort|first %}{% endfor %}",
        ),
        template("a template that includes itself", "{% include 'default' %}"),
        template("a template that extends itself", "{% extends 'default' %}"),
        template("a template that imports itself", "{% from 'default' import a %}{{ a() }}"),
        template("a recursive loop", "{% for a in [1] recursive %}{{ loop([1]) }}{% endfor %}"),
    ]
}

/// Memory without end.
fn huge() -> Vec<Row> {
    let grow = |step: &str| {
        format!(
            "{{% set ns = namespace(x='aaaaaaaa') %}}{{% for i in range(60) %}}{{% set ns.x = {step} %}}{{% endfor %}}{{{{ ns.x|length }}}}"
        )
    };
    vec![
        template("text that doubles", grow("ns.x ~ ns.x")),
        template("text that is added to itself", grow("ns.x + ns.x")),
        template("text that is multiplied", grow("ns.x * 2")),
        template("text times 10^12", "{{ 'a' * 10**12 }}"),
        template("a list times 10^12", "{{ ([1] * 10**12)|length }}"),
        template("text that is replaced by two of it", grow("ns.x|replace('a', 'aa')")),
        template("text that is replaced by its method", grow("ns.x.replace('a', 'aa')")),
        template("text that is joined", grow("[ns.x, ns.x]|join(ns.x)")),
        template(
            "printing 10^11 letters",
            "{% for i in range(100000) %}{% for j in range(100000) %}aaaaaaaaaa{% endfor %}{% endfor %}",
        ),
        template("batches of 10^12", "{{ [1]|batch(10**12, 0)|list }}"),
        template("10^12 slices", "{{ [1]|slice(10**12)|list }}"),
        large("50 MB of text", || "a".repeat(50_000_000)),
        large("50 MB of expressions", || "{{ a }}".repeat(7_000_000)),
        template(
            "100,000 variables",
            (0..100_000).map(|n| format!("{{% set a{n} = '{n}' %}}")).collect::<String>(),
        )
        .ends(&[0, 2], &[]),
        row("template: 20 GB", "generate")
            .with("model/chat_template.jinja", Content::Sparse(20_000_000_000))
            .refused(&["chat_template.jinja"]),
    ]
}

/// Widths and precisions that filters take from the template.
fn widths() -> Vec<Row> {
    let printed = |name: &str, expression: &str| template(name, format!("{{{{ {expression} }}}}"));
    vec![
        printed("tojson with an indent of 65,535", "{'a': [1, {'b': 2}]}|tojson(indent=65535)"),
        printed(
            "tojson with an indent of 20,000 at several levels",
            "{'a': {'b': {'c': {'d': 1}}}}|tojson(indent=20000)",
        ),
        printed("tojson with an indent of 10^12", "{'a': 1}|tojson(indent=10**12)"),
        printed("tojson with a negative indent", "{'a': 1}|tojson(indent=-1)").ends(&[0, 2], &[]),
        printed("tojson with an indent that is text", "{'a': 1}|tojson(indent='x'*10)").ends(&[0, 2], &[]),
        printed("indent by 2^64 − 1", "'a\nb'|indent(18446744073709551615)"),
        printed("indent by 10^12", "'a\nb'|indent(10**12)"),
        printed("indent by −1", "'a\nb'|indent(-1)").ends(&[0, 2], &[]),
        printed("a width of 2·10^12", "'%2000000000d'|format(1)"),
        printed("a precision of 2^63 − 1", "'%.9223372036854775807f'|format(1.5)"),
        printed("a width of 2^64 − 1", "'{:>18446744073709551615}'.format('a')"),
        printed("a width of 10^18", "'{:>1000000000000000000}'.format('a')"),
        printed("a width of 10^9", "'{:>1000000000}'.format('a')"),
        printed("centring in 10^12", "'a'|center(10**12)").ends(&[2], &["template"]),
        printed("ljust by 10^12", "'a'.ljust(10**12)"),
        printed("zfill by 10^12", "'a'.zfill(10**12)"),
        printed("wrapping words at 0", "'a b c'|wordwrap(0)").ends(&[0, 2], &[]),
        printed("a division by zero", "1 // 0"),
        printed("a remainder by zero", "1 % 0"),
        printed("the smallest number divided by −1", "(-9223372036854775807 - 1) // -1").ends(&[0, 2], &[]),
        printed("a power above memory", "2 ** 10**9").ends(&[0, 2], &[]),
        printed("a number of 10,000 digits", &"9".repeat(10_000)).ends(&[0, 2], &[]),
        printed("a slice from 2^63", "'abc'[9223372036854775807:]").ends(&[0, 2], &[]),
        printed("a slice with step 0", "'abc'[::0]"),
        printed("a slice with the smallest step", "'abc'[::-9223372036854775808]").ends(&[0, 2], &[]),
        printed("rounding to 2^31 places", "1.5|round(2147483647)").ends(&[0, 2], &[]),
        printed("a range with step 0", "range(1, 5, 0)|list"),
        printed("a date of the year 10^18", "strftime_now('%Y' * 100000)").ends(&[0, 2], &[]),
        printed("a date format that there is not", "strftime_now('%Q %1000000000Y')").ends(&[0, 2], &[]),
    ]
}

/// What is deep, and overflows a stack.
fn deep() -> Vec<Row> {
    let printed = |name: &str, expression: String| template(name, format!("{{{{ {expression} }}}}"));
    let grown = |name: &str, end: &str| {
        let source = format!(
            "{{% set ns = namespace(x=[]) %}}{{% for i in range(100000) %}}{{% set ns.x = [ns.x] %}}{{% endfor %}}{end}"
        );
        template(name, source)
    };
    vec![
        printed("not not not …", "not ".repeat(100_000) + "1"),
        printed("minus minus minus …", "-".repeat(100_000) + "1"),
        printed("a.b.b.b …", "a".to_owned() + &".b".repeat(100_000)),
        printed("a[0][0][0] …", "a".to_owned() + &"[0]".repeat(100_000)),
        printed("a()()() …", "a".to_owned() + &"()".repeat(100_000)),
        printed("filters in a row", "'a'".to_owned() + &"|trim".repeat(100_000)),
        printed("tests in a row", "'a'".to_owned() + &" is string".repeat(100_000)),
        printed("texts in a row", vec!["'a'"; 100_000].join(" ~ ")),
        printed("sums in a row", vec!["1"; 100_000].join(" + ")),
        printed("ands in a row", vec!["1"; 100_000].join(" and ")),
        printed("powers in a row", vec!["1"; 100_000].join(" ** ")),
        printed("comparisons in a row", vec!["1"; 100_000].join(" < ")).ends(&[0, 2], &[]),
        printed("conditions in a row", "1 if 0 else ".repeat(100_000) + "1"),
        printed("lists in lists", nested("[", "]", 100_000)),
        printed("brackets in brackets", nested("(", ")", 100_000)),
        printed("dicts in dicts", "{'a':".repeat(50_000) + "1" + &"}".repeat(50_000)),
        template("loops in loops", "{% for a in [1] %}".repeat(20_000) + &"{% endfor %}".repeat(20_000)),
        template("conditions in conditions", "{% if 1 %}".repeat(50_000) + &"{% endif %}".repeat(50_000)),
        template("elif after elif", "{% if 0 %}".to_owned() + &"{% elif 0 %}".repeat(50_000) + "{% endif %}"),
        template("blocks in blocks", (0..20_000).map(|n| format!("{{% block b{n} %}}")).collect::<String>() + &"{% endblock %}".repeat(20_000)),
        template("macros in macros", (0..20_000).map(|n| format!("{{% macro m{n}() %}}")).collect::<String>() + &"{% endmacro %}".repeat(20_000)),
        grown("printing a deep list", "{{ ns.x }}"),
        grown("comparing deep lists", "{{ ns.x == [ns.x] }}"),
        grown("tojson of a deep list", "{{ ns.x|tojson }}"),
        grown("a deep list that is dropped", "").ends(&[0, 2], &[]),
        template("a namespace in itself", "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}"),
        template("tojson of a namespace in itself", "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns|tojson }}"),
        template("comparing namespaces in themselves", "{% set a = namespace() %}{% set a.x = a %}{% set b = namespace() %}{% set b.x = b %}{{ a == b }}").ends(&[0, 2], &[]),
        template("tojson of a macro", "{% macro a() %}{% endmacro %}{{ a|tojson }}").ends(&[0, 2], &[]),
    ]
}

/// What is no template, or raises.
fn wrong() -> Vec<Row> {
    vec![
        template("an open block", "{% for message in messages %}"),
        template("an end without a beginning", "{% endfor %}"),
        template("an open expression", "{{ 'a"),
        template("a filter that there is not", "{{ messages|nonsense }}"),
        template("a function that there is not", "{{ nonsense() }}"),
        template("a test that there is not", "{{ messages is nonsense }}"),
        template("a method that there is not", "{{ 'a'.nonsense() }}"),
        template("another file", "{% include '/etc/passwd' %}"),
        template("an attribute of nothing", "{{ nothing.at.all }}"),
        template("an exception", "{{ raise_exception('not these messages') }}")
            .refused(&["not these messages"]),
        template("an exception with an escape sequence", "{{ raise_exception('\u{1b}[31m\u{7}red') }}")
            .refused(&["red"]),
        template("an exception of 10 MB", format!("{{{{ raise_exception('{}') }}}}", "x".repeat(900_000))),
        template("an exception with line feeds", "{{ raise_exception('a\nerror: b\n') }}"),
        template("not Unicode", b"{{ '\xff\xfe' }}".to_vec()).refused(&["chat_template.jinja"]),
        template("Python's way to the class", "{{ ''.__class__.__mro__ }}"),
        template("escape sequences in the text", "\u{1b}[31m\u{7}{{ messages[0].content }}")
            .ends(&[0, 2], &[]),
        template("empty", "").ends(&[0, 2], &[]),
    ]
}

/// Where a template stands, and who meets it.
fn places() -> Vec<Row> {
    let config = |name: &str, value: serde_json::Value| {
        row(&format!("template: {name}"), "generate")
            .with("model/chat_template.jinja", Content::Gone)
            .set("model/tokenizer_config.json", "/chat_template", value)
            .refused(&["chat_template"])
    };
    let trained = |program: &'static str, name: &str, source: &str| {
        let data = if program == "train-sft" { "sft.jsonl" } else { "pairs.jsonl" };
        let rows = if program == "train-sft" { conversation("Hi.") } else { pairs_of_messages() };
        row(&format!("template: {name}"), program)
            .put("model/chat_template.jinja", source)
            .put(data, rows)
            .refused(&["template"])
    };
    let endless = "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}";
    vec![
        config("a number in tokenizer_config.json", json!(5)),
        config("a list of numbers in tokenizer_config.json", json!([1])),
        config("a name without a template", json!([{ "name": "default" }])),
        config("wrong in tokenizer_config.json", json!("{% for %}"))
            .refused(&["template", "tokenizer_config.json"]),
        config("endless in tokenizer_config.json", json!(endless)).refused(&["template"]),
        trained("train-sft", "endless, met in training", endless),
        trained("train-dpo", "endless, met in training", endless),
        trained(
            "train-dpo",
            "a namespace in itself, met in training",
            "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
        ),
        row("template: a directory", "generate")
            .with("model/chat_template.jinja", Content::Gone)
            .with("model/chat_template.jinja", Content::Directory)
            .ends(&[0, 2], &[]),
        row("template: a pipe that nobody writes to", "generate")
            .with("model/chat_template.jinja", Content::Gone)
            .with("model/chat_template.jinja", Content::Fifo)
            .ends(&[0, 2], &[]),
        row("template: an endless device", "generate")
            .with("model/chat_template.jinja", Content::Gone)
            .with("model/chat_template.jinja", Content::Link("/dev/zero".to_owned()))
            .ends(&[0, 2], &[]),
        row("template: endless among the additional ones", "generate")
            .put("model/additional_chat_templates/tool_use.jinja", endless)
            .ends(&[0, 2], &[]),
    ]
}

fn pairs_of_messages() -> String {
    let say = |role: &str, text: &str| json!([{ "role": role, "content": text }]);
    json!({ "prompt": say("user", "Hi."), "chosen": say("assistant", "Yes."), "rejected": say("assistant", "No.") }).to_string()
}

/// A template of one's own.
fn own() -> Vec<Row> {
    let with = |name: &str, path: &str| {
        super::row_with(&format!("template: {name}"), "train-sft", &format!("--chat-template-path {path}"))
            .put("sft.jsonl", conversation("Hi."))
    };
    vec![
        with("of one's own that is not there", "nothing.jinja").refused(&["nothing.jinja"]),
        with("of one's own that is wrong", "own.jinja").put("own.jinja", "{% for %}").refused(&["template"]),
        with("of one's own that is no text", "own.jinja")
            .put("own.jinja", b"\xff\xfe".to_vec())
            .refused(&["own.jinja"]),
        with("of one's own that is a pipe", "own.jinja")
            .with("own.jinja", Content::Fifo)
            .refused(&["own.jinja"]),
        with("of one's own that is a device", "/dev/zero").refused(&["/dev/zero"]),
        with("of a directory without one", "empty").with("empty", Content::Directory).refused(&["empty"]),
    ]
}

/// Marks of the assistant's turns that are no such marks.
fn marks() -> Vec<Row> {
    let with = |name: &str, source: &str| {
        row(&format!("template: {name}"), "train-sft")
            .put("model/chat_template.jinja", source)
            .put("sft.jsonl", conversation("Hi."))
            .refused(&["template"])
    };
    vec![
        with("marks that are not closed", "{% generation %}{{ messages[1].content }}"),
        with("marks without a beginning", "{{ messages[1].content }}{% endgeneration %}"),
        with(
            "marks around text that is cut",
            "{% set x %}{% if messages[1] %}{% generation %}{{ messages[1].content }}{% endgeneration %}{% endif %}{% endset %}{{ x[1:] }}",
        ),
        with(
            "marks around text that is doubled",
            "{% set x %}{% if messages[1] %}{% generation %}{{ messages[1].content }}{% endgeneration %}{% endif %}{% endset %}{{ x ~ x.upper() }}",
        )
        .ends(&[0, 2], &[])
        .makes("out"),
        with(
            "marks of many parts",
            "{% if messages[1] %}{% for i in range(100000) %}{% generation %}x{% endgeneration %}{% endfor %}{% endif %}",
        )
        .ends(&[0, 2], &[])
        .makes("out"),
    ]
}
