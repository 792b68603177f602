//! The expressions of a template, metered.

use minijinja::machinery::ast;

use ast::{BinOpKind, CallArg, Expr, Spanned};

use super::{
    CONCAT, CYCLE, GLANCE, HAYSTACK, Meters, PRODUCT, SETTLE, UNPAID_SUMS, WALK, constant, filter, spanned,
};
use crate::template::meter::units_of;

/// A constant whose value no operator has to make.
pub(super) fn is_constant(expr: &Expr<'_>) -> bool {
    match expr {
        Expr::Const(_) => true,
        Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => expr.as_const().is_some(),
        Expr::UnaryOp(unary) => matches!(unary.expr, Expr::Const(_)),
        _ => false,
    }
}

fn is_number(expr: &Expr<'_>) -> bool {
    matches!(expr, Expr::Const(constant) if constant.value.is_number())
}

impl Meters {
    /// What is assigned to.
    pub(super) fn target<'a>(&mut self, expr: &Expr<'a>) -> Expr<'a> {
        match expr {
            Expr::List(node) => {
                let items = node.items.iter().map(|item| self.target(item)).collect();
                Expr::List(spanned(ast::List { items }, node.span()))
            }
            Expr::GetAttr(node) => {
                self.written(node.name);
                let expr = self.target(&node.expr);
                Expr::GetAttr(spanned(ast::GetAttr { expr, name: node.name }, node.span()))
            }
            other => self.expr(other),
        }
    }

    pub(super) fn expr<'a>(&mut self, expr: &Expr<'a>) -> Expr<'a> {
        self.sums(expr, 0)
    }

    fn optional<'a>(&mut self, expr: Option<&Expr<'a>>) -> Option<Expr<'a>> {
        expr.map(|expr| self.expr(expr))
    }

    /// A text of the source that each turn may compare, search or hash from its beginning to its end.
    fn written(&mut self, text: &str) {
        self.cost += units_of(text) - 1;
    }

    /// An operand that is looked through before it is used.
    fn walked<'a>(&mut self, expr: &Expr<'a>) -> Expr<'a> {
        let inner = self.expr(expr);
        if is_constant(expr) { inner } else { filter(WALK, inner, Vec::new()) }
    }

    fn glanced<'a>(&mut self, expr: &Expr<'a>) -> Expr<'a> {
        let inner = self.expr(expr);
        if is_constant(expr) { inner } else { filter(GLANCE, inner, Vec::new()) }
    }

    /// An expression, of whose last sums so many need no payment.
    pub(super) fn sums<'a>(&mut self, expr: &Expr<'a>, unpaid: u8) -> Expr<'a> {
        self.cost += 1;
        let span = expr.span();
        match expr {
            Expr::Var(node) => {
                self.written(node.id);
                Expr::Var(spanned(ast::Var { id: node.id }, span))
            }
            Expr::Const(node) => {
                self.written(node.value.as_str().unwrap_or_default());
                Expr::Const(spanned(ast::Const { value: node.value.clone() }, span))
            }
            Expr::Slice(node) => {
                let slice = ast::Slice {
                    expr: self.glanced(&node.expr),
                    start: self.optional(node.start.as_ref()),
                    stop: self.optional(node.stop.as_ref()),
                    step: self.optional(node.step.as_ref()),
                };
                filter(SETTLE, Expr::Slice(spanned(slice, span)), Vec::new())
            }
            Expr::UnaryOp(node) => {
                let negates = matches!(node.op, ast::UnaryOpKind::Neg);
                let op = if negates { ast::UnaryOpKind::Neg } else { ast::UnaryOpKind::Not };
                Expr::UnaryOp(spanned(ast::UnaryOp { op, expr: self.expr(&node.expr) }, span))
            }
            Expr::BinOp(node) => self.operation(node, unpaid),
            Expr::Compare(node) => {
                let expr = self.walked(&node.expr);
                let ops = node.ops.iter();
                let ops = ops.map(|op| ast::CompareOp { op: op.op, expr: self.walked(&op.expr) }).collect();
                Expr::Compare(spanned(ast::Compare { expr, ops }, span))
            }
            Expr::IfExpr(node) => Expr::IfExpr(spanned(
                ast::IfExpr {
                    test_expr: self.expr(&node.test_expr),
                    true_expr: self.sums(&node.true_expr, unpaid),
                    false_expr: node.false_expr.as_ref().map(|expr| self.sums(expr, unpaid)),
                },
                span,
            )),
            Expr::Filter(node) => {
                self.written(node.name);
                let expr = self.optional(node.expr.as_ref());
                let args = self.args(&node.args, false);
                Expr::Filter(spanned(ast::Filter { name: node.name, expr, args }, span))
            }
            Expr::Test(node) => {
                self.written(node.name);
                let (expr, args) = (self.expr(&node.expr), self.args(&node.args, false));
                Expr::Test(spanned(ast::Test { name: node.name, expr, args }, span))
            }
            Expr::GetAttr(node) => {
                self.written(node.name);
                let expr = self.expr(&node.expr);
                Expr::GetAttr(spanned(ast::GetAttr { expr, name: node.name }, span))
            }
            Expr::GetItem(node) => {
                let by_name =
                    matches!(&node.subscript_expr, Expr::Const(key) if key.value.as_str().is_some());
                let expr = if by_name { self.expr(&node.expr) } else { self.glanced(&node.expr) };
                let subscript_expr = self.walked(&node.subscript_expr);
                Expr::GetItem(spanned(ast::GetItem { expr, subscript_expr }, span))
            }
            Expr::Call(node) => Expr::Call(self.call(node)),
            Expr::List(node) => {
                let items = node.items.iter().map(|item| self.expr(item)).collect();
                self.literal(expr, Expr::List(spanned(ast::List { items }, span)))
            }
            Expr::Tuple(node) => {
                let items = node.items.iter().map(|item| self.expr(item)).collect();
                self.literal(expr, Expr::Tuple(spanned(ast::Tuple { items }, span)))
            }
            Expr::Map(node) => {
                let keys = node.keys.iter().map(|key| self.walked(key)).collect();
                let values = node.values.iter().map(|value| self.expr(value)).collect();
                self.literal(expr, Expr::Map(spanned(ast::Map { keys, values }, span)))
            }
        }
    }

    /// A literal nests what it holds one deeper.
    fn literal<'a>(&mut self, before: &Expr<'a>, after: Expr<'a>) -> Expr<'a> {
        self.cost += 1;
        if is_constant(before) { after } else { filter(WALK, after, Vec::new()) }
    }

    fn operation<'a>(&mut self, node: &Spanned<ast::BinOp<'a>>, unpaid: u8) -> Expr<'a> {
        let (op, span) = (node.op, node.span());
        let made = |left, right| Expr::BinOp(spanned(ast::BinOp { op, left, right }, span));
        match op {
            BinOpKind::Concat => {
                let mut operands = Vec::new();
                let mut left = &node.left;
                operands.push(&node.right);
                while let Expr::BinOp(inner) = left {
                    if !matches!(inner.op, BinOpKind::Concat) {
                        break;
                    }
                    operands.push(&inner.right);
                    left = &inner.left;
                }
                let first = self.expr(left);
                let rest = operands.into_iter().rev().map(|operand| CallArg::Pos(self.expr(operand)));
                filter(CONCAT, first, rest.collect())
            }
            BinOpKind::Mul => {
                let (left, right) = (self.expr(&node.left), self.expr(&node.right));
                filter(PRODUCT, left, vec![CallArg::Pos(right)])
            }
            BinOpKind::Add => {
                let counts = is_number(&node.left) || is_number(&node.right);
                let paid = unpaid == 0 && !counts;
                let inner = if paid { UNPAID_SUMS } else { unpaid.saturating_sub(1) };
                let sum = made(self.sums(&node.left, inner), self.expr(&node.right));
                if paid { filter(GLANCE, sum, Vec::new()) } else { sum }
            }
            BinOpKind::In => {
                let left = self.walked(&node.left);
                let right = self.expr(&node.right);
                let known = is_constant(&node.right);
                made(left, if known { right } else { filter(HAYSTACK, right, Vec::new()) })
            }
            BinOpKind::Eq
            | BinOpKind::Ne
            | BinOpKind::Lt
            | BinOpKind::Lte
            | BinOpKind::Gt
            | BinOpKind::Gte
                if !is_constant(&node.left) && !is_constant(&node.right) =>
            {
                made(self.walked(&node.left), self.expr(&node.right))
            }
            _ => made(self.expr(&node.left), self.expr(&node.right)),
        }
    }

    pub(super) fn call<'a>(&mut self, node: &Spanned<ast::Call<'a>>) -> Spanned<ast::Call<'a>> {
        self.cost += 1;
        let is_method = |name| matches!(&node.expr, Expr::GetAttr(method) if method.name == name);
        // `loop.changed(…)` compares what it is given with what it was given before.
        let (expr, mut args) = (self.expr(&node.expr), self.args(&node.args, is_method("changed")));
        if args.is_empty() && is_method("cycle") {
            args.push(CallArg::Pos(filter(CYCLE, constant(true, node.span()), Vec::new())));
        }
        spanned(ast::Call { expr, args }, node.span())
    }

    pub(super) fn args<'a>(&mut self, args: &[CallArg<'a>], walked: bool) -> Vec<CallArg<'a>> {
        args.iter().map(|arg| self.arg(arg, walked)).collect()
    }

    fn arg<'a>(&mut self, arg: &CallArg<'a>, walked: bool) -> CallArg<'a> {
        match arg {
            CallArg::Pos(expr) if walked => CallArg::Pos(self.walked(expr)),
            CallArg::Pos(expr) => CallArg::Pos(self.expr(expr)),
            CallArg::Kwarg(name, expr) => {
                self.written(name);
                CallArg::Kwarg(name, self.expr(expr))
            }
            CallArg::PosSplat(expr) => CallArg::PosSplat(filter(WALK, self.expr(expr), Vec::new())),
            CallArg::KwargSplat(expr) => CallArg::KwargSplat(filter(WALK, self.expr(expr), Vec::new())),
        }
    }
}
