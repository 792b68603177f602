//! Chat templates that are made to hang, to eat memory, to panic or to overflow a stack: each ends with an error of one
//! line, soon, and what real templates do is none of it.

mod costs;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use align_data::{ChatTemplate, Message, TemplateArguments};

/// What a template says to two messages: its text, or why it cannot be compiled or rendered.
fn render(source: &str) -> Result<String, String> {
    let template = ChatTemplate::new(source, BTreeMap::new()).map_err(|error| error.to_string())?;
    let messages = [Message::new("user", "hello"), Message::new("assistant", "world")];
    template.render(&messages, true, &TemplateArguments::default())
}

/// Ends with an error that holds these words, of bounded length, within seconds (of a debug build on a busy machine).
#[track_caller]
fn refused(source: &str, words: &str) {
    let start = Instant::now();
    let shown: String = source.chars().take(60).collect();
    let error = render(source).map(|text| text.len()).expect_err(&shown);
    assert!(error.contains(words), "{shown}: {error}");
    assert!(error.len() < 1000, "{shown}: an error of {} bytes", error.len());
    assert!(start.elapsed() < Duration::from_secs(20), "{shown}: took {:?}", start.elapsed());
}

const WORK: &str = "more work than the conversation calls for";

#[test]
fn endless_work_is_stopped() {
    let loops = "{% for a in range(100000) %}{% for b in range(100000) %}{% for c in range(100000) %}{% endfor %}{% endfor %}{% endfor %}";
    refused(loops, WORK);
    let filtered =
        "{% for a in range(100000) %}{% for b in range(100000) if false %}{% endfor %}{% endfor %}";
    refused(filtered, WORK);
    refused(
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(25) }}",
        WORK,
    );
    refused("{% block b %}{{ self.b() }}{{ self.b() }}{% endblock %}", "");
    refused("{% for x in [[1]] recursive %}{{ loop([x, x]) }}{% endfor %}", "");
    let lookup = "{% set l = range(90000) %}{% for i in range(90000) %}{{ l[89999] }}{% endfor %}";
    refused(lookup, WORK);
    let search =
        "{% set l = range(90000)|list %}{% for i in range(90000) %}{% if -1 in l %}{% endif %}{% endfor %}";
    refused(search, WORK);
    let compared = "{% set l = range(90000)|list %}{% set k = range(90000)|list %}{% for i in range(90000) %}{% if l == k %}{% endif %}{% endfor %}";
    refused(compared, WORK);
    for call in [
        "|sort",
        "|unique",
        "|join",
        "|max",
        "|sum",
        "|tojson",
        "|string",
        "|list",
        "|last",
        "|reverse",
        "[1:]",
        "|select('eq', 1)|list",
    ] {
        let source = format!(
            "{{% set l = range(90000)|list %}}{{% for i in range(90000) %}}{{% set x = l{call} %}}{{% endfor %}}"
        );
        refused(&source, WORK);
    }
}

#[test]
fn growth_is_stopped() {
    let grown = |by: &str| {
        format!(
            "{{% set ns = namespace(x='0123456789') %}}{{% for i in range(60) %}}{{% set ns.x = {by} %}}{{% endfor %}}{{{{ ns.x }}}}"
        )
    };
    for by in [
        "ns.x ~ ns.x",
        "ns.x + ns.x",
        "ns.x * 2",
        "2 * ns.x",
        "ns.x|replace('0', '00')",
        "ns.x.replace('', 'ab')",
        "ns.x|replace('', ns.x)",
        "[ns.x, ns.x]|join",
        "''.join([ns.x, ns.x])",
        "ns.x.join(ns.x)",
        "ns.x|join(ns.x)",
        "'%s%s'|format(ns.x, ns.x)",
        "'{0}{0}'.format(ns.x)",
        "[ns.x, ns.x]|string",
        "[ns.x, ns.x]|tojson",
        "ns.x|tojson|tojson",
        "[ns.x, ns.x]",
        "{'a': ns.x, 'b': ns.x}",
        "(ns.x, ns.x)",
        "dict(a=ns.x, b=ns.x)",
        "[ns.x] + [ns.x]",
        "[ns.x] * 9",
        "ns.x|list + ns.x|list",
        "ns.x|pprint ~ ns.x",
        "[ns.x, ns.x]|map('upper')|list",
        "ns.x|list|chain(ns.x|list)",
        "(ns.x ~ '\n')|indent(9999, true)",
    ] {
        let error = render(&grown(by)).map(|text| text.len()).expect_err(by);
        assert!(error.len() < 1000, "{by}: {error}");
    }
    let captured = format!(
        "{{% set x %}}{{% for i in range(100000) %}}{}{{% endfor %}}{{% endset %}}{{{{ x|length }}}}",
        "raw text ".repeat(10_000)
    );
    refused(&captured, WORK);
    refused(&format!("{{% for i in range(100000) %}}{}{{% endfor %}}", "raw text ".repeat(10_000)), WORK);
    refused("{{ 'ab' * 99999999 }}", "makes a text of 199999998 bytes");
    refused("{{ (1,) * 99999999 }}", WORK);
    refused("{{ [1] * 99999999 }}", WORK);
    refused(&format!("{{{{ 'x' {} }}}}", "~ 'a' * 10000000".repeat(100)), "");
    refused(&"plain text ".repeat(200_000), "expected at most 1048576");
}

#[test]
fn what_is_no_text_is_paid_for_as_the_text_that_it_becomes() {
    refused("{{ range(100000)|join(d='a'*1000000)|length }}", "");
    refused("{{ range(100000)|join(range(100000)|list)|length }}", "");
    refused("{{ ('a'*1000000)|replace('a', range(100000)|list)|length }}", "");
    refused("{{ ('1'*1000000)|replace(1, 'a'*1000000)|length }}", "");
    refused("{{ (range(100000)|list)|replace('1', 'a'*1000000)|length }}", "");
    refused("{{ ([[1]]*100000)|sum(start=[])|list|length }}", "");
    assert_eq!(
        render("{{ [1, 2]|join(d='-') }} {{ [1, 2]|join(0) }} {{ 'a1'|replace(1, [2]) }}").unwrap(),
        "1-2 102 a[2]"
    );
    assert_eq!(render("{{ [1, 2]|sum }} {{ [{'a': 3}]|sum(attribute='a', start=1) }}").unwrap(), "3 4");
}

#[test]
fn numbers_blow_nothing_up() {
    for source in [
        "{{ '%2000000000d'|format(1) }}",
        "{{ '%.2000000000f'|format(1.5) }}",
        "{{ '%.9223372036854775807f'|format(1.5) }}",
        "{{ '%-+ #02000000000x'|format(1) }}",
        "{{ '%(a)2000000000d'|format(a=1) }}",
        "{{ '{:>18446744073709551615}'.format('a') }}",
        "{{ '{:>1000000000000000000}'.format('a') }}",
        "{{ '{0:.99999999999}'.format(1.5) }}",
        "{{ 'a'|indent(18446744073709551615) }}",
        "{{ 'a'|indent(10**12) }}",
        "{{ 'a\nb'|indent(width=10**12) }}",
        "{{ [1]|tojson(indent=65535) }}",
        "{{ [[[[1]]]]|tojson(indent=10**15) }}",
        "{{ [1]|batch(10**12) }}",
        "{{ [1]|batch(10**12, 'x') }}",
        "{{ [1]|slice(10**12) }}",
        "{{ range(10**9)|list }}",
        "{{ loop.cycle() }}",
    ] {
        let error = render(source).map(|text| text.len()).expect_err(source);
        assert!(error.len() < 1000, "{source}: {error}");
    }
    let cycle = "`loop.cycle()` has no values, expected those to go through in turn (line 1 of the template)";
    assert_eq!(render("{% for i in [1] %}{{ loop.cycle() }}{% endfor %}").unwrap_err(), cycle);
    assert_eq!(render("{% for i in [1, 2, 3] %}{{ loop.cycle('a', 'b') }}{% endfor %}").unwrap(), "aba");
    // An integer of Python has no end; the engine's has, and says so.
    assert!(render("{{ 10 ** 100 }}").is_err());
    assert_eq!(render("{{ 1.5|round(2147483647) }}").unwrap(), "1.5");
    assert_eq!(render("{{ '%05.1f|%s'|format(2.25, 'a') }}").unwrap(), "002.2|a");
    assert_eq!(render("{{ '{:>5}|{}'.format('a', {'b': 123456}) }}").unwrap(), "    a|{'b': 123456}");
}

#[test]
fn depth_is_refused_before_it_overflows_a_stack() {
    let long =
        |head: &str, part: &str, tail: &str| head.to_owned() + &part.repeat(900_000 / part.len()) + tail;
    let operators = "operators and names in a tag";
    refused(&long("{{ ", "not ", "x }}"), operators);
    refused(&long("{{ ", "-", "1 }}"), operators);
    refused(&long("{{ a", ".b", " }}"), operators);
    refused(&long("{{ a", "[0]", " }}"), operators);
    refused(&long("{{ a", "()", " }}"), operators);
    refused(&long("{{ a", "|trim", " }}"), operators);
    refused(&long("{{ 'a'", " ~ 'b'", " }}"), operators);
    refused(&long("{{ 1", " + 1", " }}"), operators);
    refused(&long("{{ 1", " is odd", " }}"), operators);
    refused(&long("{{ ", "1 if 1 else ", "1 }}"), operators);
    refused(&long("{{ 1", " if 1", " }}"), operators);
    refused(&long("{% if 1 %}", "{% elif 1 %}", "{% endif %}"), "`elif`");
    refused(&long("", "{% if 1 %}", ""), "recursion");
    refused(&long("{{ ", "[", "] }}"), "");
    refused(&long("{% set ", "(", "a %}"), "");
    // As many as are allowed go through.
    assert_eq!(render(&format!("{{{{ {}true }}}}", "not ".repeat(1900))).unwrap(), "True");
    assert_eq!(render(&format!("{{{{ 'a'{} }}}}", " ~ 'b'".repeat(1900))).unwrap().len(), 1901);
    assert_eq!(render(&format!("{{{{ 1{} }}}}", " + 1".repeat(1900))).unwrap(), "1901");
    assert_eq!(render(&format!("{{{{ messages[0].content{} }}}}", "|trim".repeat(900))).unwrap(), "hello");
}

#[test]
fn values_that_nest_or_hold_themselves_are_refused() {
    let deep = "{% set ns = namespace(x=[]) %}{% for i in range(100000) %}{% set ns.x = WRAP %}{% endfor %}{{ ns.x }}";
    for wrap in [
        "[ns.x]",
        "(ns.x,)",
        "{'a': ns.x}",
        "dict(a=ns.x)",
        "[ns.x]|batch(1)",
        "[ns.x]|slice(1)",
        "{'a': ns.x}.items()",
        "{'a': ns.x}|items",
        "[ns.x]|zip([1])",
        "[[ns.x]]|groupby(0)",
        "[ns.x]|map('list')",
        "namespace(a=ns.x)",
    ] {
        let source = deep.replace("WRAP", wrap);
        let error = render(&source).map(|text| text.len()).expect_err(wrap);
        assert!(error.len() < 1000, "{wrap}: {error}");
    }
    // Lists that are laid over each other without nesting are as good as copied.
    for wrap in
        ["ns.x[:]", "ns.x[::-1]", "ns.x + [1]", "ns.x * 1", "ns.x|reverse", "ns.x|list", "ns.x|chain([])"]
    {
        let source = deep.replace("WRAP", wrap).replace("100000", "500").replace("x=[]", "x=[1]");
        assert!(render(&source).is_ok(), "{wrap}");
    }
    // Nothing is in them that would show how many there are.
    for wrap in ["ns.x|zip([])", "ns.x|reverse", "ns.x[:]", "ns.x + []", "ns.x|chain([])", "ns.x|batch(2)"] {
        let source = deep.replace("WRAP", wrap).replace("100000", "20000");
        assert!(render(&source).map_or_else(|error| error.len() < 1000, |text| text == "[]"), "{wrap}");
    }
    let maps = "{% set ns = namespace(x={'a': 1}) %}{% for i in range(20000) %}{% set ns.x = ns.x|chain({}) %}{% endfor %}{{ ns.x }}";
    assert_eq!(render(maps).unwrap(), "{'a': 1}");
    refused("{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}", "keeps a namespace in a namespace");
    refused(
        "{% set ns = namespace() %}{% set ns.x = [{'a': ns}] %}{{ ns }}",
        "keeps a namespace in a namespace",
    );
    refused(
        "{% set ns = namespace() %}{% set a, ns.x = 1, ns %}{{ ns }}",
        "keeps a namespace in a namespace",
    );
    let shared =
        "{% set ns = namespace(x='a') %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}";
    for use_ in [
        "{{ ns.x }}",
        "{{ ns.x == ns.x }}",
        "{{ ns.x|tojson }}",
        "{{ ns.x|string }}",
        "{{ {ns.x: 1} }}",
        "{{ ns.x|upper }}",
        "{{ 'a'|trim(ns.x) }}",
        "{{ ns.x|indent }}",
        "{{ ns.x|split }}",
        "{{ messages|attr(ns.x) }}",
        "{{ messages|selectattr('role', 'eq', ns.x)|list }}",
        "{{ 'a' is startingwith ns.x }}",
    ] {
        refused(&format!("{shared}{use_}"), WORK);
    }
    let locals = "{% set x = [] %}".to_owned() + &"{% set x = [x] %}".repeat(5000) + "{{ x }}";
    refused(&locals, "nests values more than 150 deep");
    let looped = "{% set ns = namespace(l=0) %}{% for i in range(100000) %}{% for j in [ns.l] %}{% set ns.l = loop %}{% endfor %}{% endfor %}";
    refused(looped, "");
}

#[test]
fn calls_within_calls_are_bounded() {
    refused("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recursion limit exceeded");
    let called =
        "{% macro f() %}{% call f() %}{% endcall %}{{ caller() }}{% endmacro %}{% call f() %}{% endcall %}";
    refused(called, "recursion limit exceeded");
    refused("{% block b %}{{ self.b() }}{% endblock %}", "recursion limit exceeded");
    refused("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "recursion limit exceeded");
    refused("{% include 'default' %}", "template");
    refused("{% extends 'default' %}", "template");
    refused("{% import 'default' as d %}", "template");
    refused("{{ debug() }}", "debug is unknown");
    refused("{{ raise_exception('a' * 9000) }}", "aaaa");
}

/// Threads have 2 MiB of stack; half of that is enough for the deepest values at the bottom of the deepest calls.
#[test]
fn a_small_stack_is_enough() {
    let nested = "{% set ns = namespace(x=[]) %}{% for i in range(140) %}{% set ns.x = [ns.x] %}{% endfor %}";
    let uses = [
        "{{ ns.x }}",
        "{{ ns.x|tojson }}",
        "{{ ns.x == [ns.x][0][:] }}",
        "{{ [ns.x, ns.x]|sort|length }}",
        "{{ {ns.x: ns} }}",
    ];
    let down = "{% macro f(n) %}{% if n %}{% for i in [n] %}{{ f(i - 1) }}{% endfor %}{% else %}USE{% endif %}{% endmacro %}";
    for use_ in uses {
        for depth in [20, 200] {
            let source = format!("{nested}{}{{{{ f({depth}) }}}}", down.replace("USE", use_));
            let thread = std::thread::Builder::new().stack_size(1 << 20);
            let result = thread.spawn(move || render(&source)).unwrap().join().unwrap();
            assert_eq!(result.is_ok(), depth == 20, "{use_}: {result:?}");
        }
    }
    let blocks = || render("{% block b %}{{ self.b() }}{% endblock %}");
    let thread = std::thread::Builder::new().stack_size(1 << 20);
    assert!(thread.spawn(blocks).unwrap().join().unwrap().is_err());
}

#[test]
fn what_real_templates_do_costs_little() {
    let long: Vec<Message> = (0..5000)
        .map(|i| Message::new(if i % 2 == 0 { "user" } else { "assistant" }, "word ".repeat(40)))
        .collect();
    let source = "{% set ns = namespace(text='', calls=[]) %}{% for m in messages %}{% if loop.index0 == messages|length - 1 %}last{% endif %}\
                  {% if m.role in ['user', 'assistant'] and 'x' not in m.content %}{% set ns.text = ns.text ~ m.content.strip().split(' ')[0] %}\
                  {% endif %}{{ '<|' + m['role'] + '|>' + '\n' + m.content|trim + '\n' }}{% endfor %}{{ ns.text|length }}";
    let template = ChatTemplate::new(source, BTreeMap::new()).unwrap();
    let text = template.render(&long, false, &TemplateArguments::default()).unwrap();
    assert!(
        text.ends_with("last<|assistant|>\n".to_owned().as_str()) || text.ends_with("20000"),
        "{}",
        text.len()
    );
    // Lists that grow by one message at a time, and a JSON of many tools.
    let grown = "{% set ns = namespace(l=[]) %}{% for m in messages %}{% set ns.l = ns.l + [m] %}{% endfor %}{{ ns.l|length }}";
    let template = ChatTemplate::new(grown, BTreeMap::new()).unwrap();
    assert_eq!(template.render(&long[..400], false, &TemplateArguments::default()).unwrap(), "400");
    let tool =
        serde_json::json!({"type": "function", "function": {"name": "f", "parameters": {"a": [1, 2, 3]}}});
    let arguments = TemplateArguments { tools: vec![tool; 2000], ..TemplateArguments::default() };
    let tools = "{% for m in messages %}{{ tools|tojson(indent=4)|length }} {% endfor %}";
    let template = ChatTemplate::new(tools, BTreeMap::new()).unwrap();
    let lengths = template.render(&long[..4], false, &arguments).unwrap();
    assert!(lengths.split(' ').next().unwrap().parse::<usize>().unwrap() > 100_000, "{lengths}");
}
