//! A template's syntax tree, written out again with a payment wherever it could repeat or grow something.
//!
//! Every turn of a loop and every call of a macro pays for its body; sums, products, slices, literals and comparisons
//! pay for what they make or look at. Filters, tests and methods pay by themselves (`bounded`). Nothing else changes:
//! payments are filters that hand on their value, under names that no template can write.
//!
//! Not metered, because the source bounds it: what is not repeated. What is pays for the text of its constants and names with
//! each turn, whatever is done with them.

mod expressions;

use minijinja::Value;
use minijinja::machinery::{Span, ast};

use super::marks;

use ast::{CallArg, Expr, Spanned, Stmt};

/// Pays so many units and is an empty text.
pub(super) const TURN: &str = "*turn";
/// Refuses to go through no values in turn, at which the engine would divide by their number.
pub(super) const CYCLE: &str = "*cycle";
/// Pays for a text or a list as it is.
pub(super) const GLANCE: &str = "*glance";
/// Pays for all that a value holds.
pub(super) const WALK: &str = "*walk";
/// As [`WALK`], on the way into a namespace.
pub(super) const KEEP: &str = "*keep";
/// Pays for searching in a value.
pub(super) const HAYSTACK: &str = "*haystack";
/// Makes a lazy list one of its own.
pub(super) const SETTLE: &str = "*settle";
/// `a ~ b ~ c`.
pub(super) const CONCAT: &str = "*concat";
/// `a * b`.
pub(super) const PRODUCT: &str = "*product";

/// Sums in a row of which only the last is paid for: their texts are no longer than so many of the longest.
const UNPAID_SUMS: u8 = 8;

/// The whole template.
pub(super) fn template<'a>(stmt: &Stmt<'a>) -> Stmt<'a> {
    Meters { cost: 0 }.stmt(stmt)
}

/// The cost of the body that is being written out.
struct Meters {
    cost: u64,
}

fn spanned<T>(node: T, span: Span) -> Spanned<T> {
    Spanned::new(node, span)
}

/// `expr|name`, with arguments.
fn filter<'a>(name: &'a str, expr: Expr<'a>, args: Vec<CallArg<'a>>) -> Expr<'a> {
    let span = expr.span();
    Expr::Filter(spanned(ast::Filter { name, expr: Some(expr), args }, span))
}

fn constant<'a>(value: impl Into<Value>, span: Span) -> Expr<'a> {
    Expr::Const(spanned(ast::Const { value: value.into() }, span))
}

/// `{{ name }}`.
fn written<'a>(name: &'a str, span: Span) -> Stmt<'a> {
    Stmt::EmitExpr(spanned(ast::EmitExpr { expr: Expr::Var(spanned(ast::Var { id: name }, span)) }, span))
}

impl Meters {
    fn stmts<'a>(&mut self, stmts: &[Stmt<'a>]) -> Vec<Stmt<'a>> {
        stmts.iter().map(|stmt| self.stmt(stmt)).collect()
    }

    /// Statements that can be repeated: they begin with the payment for all of them.
    fn repeated<'a>(&mut self, stmts: &[Stmt<'a>], span: Span) -> Vec<Stmt<'a>> {
        let outside = std::mem::replace(&mut self.cost, 1);
        let body = self.stmts(stmts);
        let cost = self.cost;
        // To declare a macro costs what it holds, too; for the rest it is little to pay twice.
        self.cost += outside;
        let turn = ast::EmitExpr { expr: filter(TURN, constant(cost, span), Vec::new()) };
        [Stmt::EmitExpr(spanned(turn, span))].into_iter().chain(body).collect()
    }

    fn stmt<'a>(&mut self, stmt: &Stmt<'a>) -> Stmt<'a> {
        self.cost += 1;
        match stmt {
            Stmt::Template(node) => {
                let children = self.stmts(&node.children);
                Stmt::Template(spanned(ast::Template { children }, node.span()))
            }
            Stmt::EmitExpr(node) => {
                // What is printed pays for itself.
                let expr = self.sums(&node.expr, UNPAID_SUMS);
                Stmt::EmitExpr(spanned(ast::EmitExpr { expr }, node.span()))
            }
            Stmt::EmitRaw(node) => {
                self.cost += super::meter::units_of(node.raw);
                Stmt::EmitRaw(spanned(ast::EmitRaw { raw: node.raw }, node.span()))
            }
            Stmt::ForLoop(node) => Stmt::ForLoop(spanned(self.for_loop(node), node.span())),
            Stmt::IfCond(node) => {
                let expr = self.expr(&node.expr);
                let (mut true_body, false_body) = (self.stmts(&node.true_body), self.stmts(&node.false_body));
                if marks::is_condition(&node.expr) {
                    let [begin, end] = marks::VARIABLES.map(|(name, _)| written(name, node.span()));
                    true_body = [begin].into_iter().chain(true_body).chain([end]).collect();
                }
                Stmt::IfCond(spanned(ast::IfCond { expr, true_body, false_body }, node.span()))
            }
            Stmt::WithBlock(node) => {
                let assignments = node
                    .assignments
                    .iter()
                    .map(|(target, expr)| (self.target(target), self.expr(expr)))
                    .collect();
                let body = self.stmts(&node.body);
                Stmt::WithBlock(spanned(ast::WithBlock { assignments, body }, node.span()))
            }
            Stmt::Set(node) => {
                let expr = match &node.target {
                    Expr::GetAttr(_) if !expressions::is_constant(&node.expr) => {
                        filter(KEEP, self.sums(&node.expr, UNPAID_SUMS), Vec::new())
                    }
                    Expr::List(targets) if targets.items.iter().any(|item| !matches!(item, Expr::Var(_))) => {
                        filter(KEEP, self.expr(&node.expr), Vec::new())
                    }
                    _ => self.expr(&node.expr),
                };
                Stmt::Set(spanned(ast::Set { target: self.target(&node.target), expr }, node.span()))
            }
            Stmt::SetBlock(node) => {
                let body = self.stmts(&node.body);
                let filter = node.filter.as_ref().map(|filter| self.expr(filter));
                let target = self.target(&node.target);
                Stmt::SetBlock(spanned(ast::SetBlock { target, filter, body }, node.span()))
            }
            Stmt::AutoEscape(node) => {
                let (enabled, body) = (self.expr(&node.enabled), self.stmts(&node.body));
                Stmt::AutoEscape(spanned(ast::AutoEscape { enabled, body }, node.span()))
            }
            Stmt::FilterBlock(node) => {
                let (filter, body) = (self.expr(&node.filter), self.stmts(&node.body));
                Stmt::FilterBlock(spanned(ast::FilterBlock { filter, body }, node.span()))
            }
            Stmt::Block(node) => {
                let body = match node.required {
                    true => self.stmts(&node.body),
                    false => self.repeated(&node.body, node.span()),
                };
                Stmt::Block(spanned(
                    ast::Block { name: node.name, required: node.required, body },
                    node.span(),
                ))
            }
            Stmt::Import(node) => {
                let (expr, name) = (self.expr(&node.expr), self.target(&node.name));
                Stmt::Import(spanned(ast::Import { expr, name }, node.span()))
            }
            Stmt::FromImport(node) => {
                let expr = self.expr(&node.expr);
                let names = node
                    .names
                    .iter()
                    .map(|(name, alias)| (self.target(name), alias.as_ref().map(|alias| self.target(alias))));
                let names = names.collect();
                Stmt::FromImport(spanned(ast::FromImport { expr, names }, node.span()))
            }
            Stmt::Extends(node) => {
                Stmt::Extends(spanned(ast::Extends { name: self.expr(&node.name) }, node.span()))
            }
            Stmt::Include(node) => {
                let name = self.expr(&node.name);
                let ignore_missing = node.ignore_missing;
                Stmt::Include(spanned(ast::Include { name, ignore_missing }, node.span()))
            }
            Stmt::Macro(node) => Stmt::Macro(self.macro_(node)),
            Stmt::CallBlock(node) => {
                let (call, macro_decl) = (self.call(&node.call), self.macro_(&node.macro_decl));
                Stmt::CallBlock(spanned(ast::CallBlock { call, macro_decl }, node.span()))
            }
            Stmt::Continue(node) => Stmt::Continue(spanned(ast::Continue, node.span())),
            Stmt::Break(node) => Stmt::Break(spanned(ast::Break, node.span())),
            Stmt::Do(node) => Stmt::Do(spanned(ast::Do { call: self.call(&node.call) }, node.span())),
        }
    }

    fn for_loop<'a>(&mut self, node: &Spanned<ast::ForLoop<'a>>) -> ast::ForLoop<'a> {
        ast::ForLoop {
            target: self.target(&node.target),
            iter: self.expr(&node.iter),
            // Tried for items that the body never sees.
            filter_expr: node
                .filter_expr
                .as_ref()
                .map(|condition| filter(GLANCE, self.expr(condition), Vec::new())),
            recursive: node.recursive,
            body: self.repeated(&node.body, node.span()),
            else_body: self.stmts(&node.else_body),
        }
    }

    fn macro_<'a>(&mut self, node: &Spanned<ast::Macro<'a>>) -> Spanned<ast::Macro<'a>> {
        let args = node.args.iter().map(|arg| self.target(arg)).collect();
        let defaults = node.defaults.iter().map(|default| self.expr(default)).collect();
        let body = self.repeated(&node.body, node.span());
        spanned(ast::Macro { name: node.name, args, defaults, body }, node.span())
    }
}
