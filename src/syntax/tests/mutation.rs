//! The corpus with small mistakes: nothing panics, spans stay inside, messages stay few.

use super::{CORPUS, Random, parse_file};
use crate::base::Span;
use crate::syntax::token::{Lexer, Token};
use crate::syntax::{parse_item, split};

fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer::new(text);
    std::iter::from_fn(|| lexer.next_token()).collect()
}

fn slice(text: &str, span: Span) -> &str {
    text.get(span.start as usize..span.end as usize).expect("a span inside the text, on characters")
}

/// Checks what holds for any text, and returns the number of errors.
fn check(text: &str) -> usize {
    let items = split(text);
    let mut end = 0;
    let mut count = 0;
    for item in &items {
        assert!(item.span.start >= end, "items overlap");
        let gap = slice(text, Span::new(end, item.span.start));
        assert!(tokens(gap).iter().all(|token| &gap[token.start as usize..token.end as usize] == ";"), "lost: {gap:?}");
        end = item.span.end;
        let text = slice(text, item.span);
        let parsed = parse_item(text);
        count += parsed.errors.len();
        for error in &parsed.errors {
            slice(text, error.span);
            for (span, _) in error.fix.iter().flat_map(|fix| &fix.1) {
                slice(text, *span);
            }
        }
        for expr in &parsed.ast.exprs {
            slice(text, expr.span);
        }
    }
    let rest = &text[end as usize..];
    assert!(tokens(rest).iter().all(|token| &rest[token.start as usize..token.end as usize] == ";"), "lost: {rest:?}");
    count
}

#[test]
fn mutated_tokens() {
    let all = tokens(CORPUS);
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (mut total, mut most, mut none) = (0, 0, 0);
    const ROUNDS: usize = 3000;
    for _ in 0..ROUNDS {
        let at = all[random.below(all.len())];
        let other = all[random.below(all.len())];
        let (start, end) = (at.start as usize, at.end as usize);
        let taken = &CORPUS[other.start as usize..other.end as usize];
        let text = match random.below(4) {
            0 => format!("{}{}", &CORPUS[..start], &CORPUS[end..]),
            1 => format!("{} {}", &CORPUS[..end], &CORPUS[start..]),
            2 => format!("{}{taken}{}", &CORPUS[..start], &CORPUS[end..]),
            _ => format!("{} {taken} {}", &CORPUS[..start], &CORPUS[start..]),
        };
        let count = check(&text);
        total += count;
        most = most.max(count);
        none += usize::from(count == 0);
    }
    let mistakes = ROUNDS - none;
    assert!(total < mistakes * 11 / 10, "{total} messages for {mistakes} mistakes");
    assert!(most <= 5, "{most} messages for one mistake");
}

#[test]
fn mutated_bytes() {
    let mut random = Random(0xD1B5_4A32_D192_ED03);
    let characters: Vec<char> = "(){}[]<>\"'\\#@;:,.=-+*/\n\t \0$ö1ae_".chars().collect();
    for _ in 0..2000 {
        let mut text: Vec<char> = CORPUS.chars().collect();
        for _ in 0..=random.below(4) {
            let at = random.below(text.len());
            match random.below(3) {
                0 => drop(text.remove(at)),
                1 => text.insert(at, characters[random.below(characters.len())]),
                _ => text[at] = characters[random.below(characters.len())],
            }
        }
        check(&text.into_iter().collect::<String>());
    }
}

#[test]
fn cut_off_anywhere() {
    for (at, _) in CORPUS.char_indices() {
        check(&CORPUS[..at]);
        if at % 7 == 0 {
            check(&CORPUS[at..]);
        }
    }
}

#[test]
fn one_broken_item_leaves_the_others_alone() {
    let (whole, _) = parse_file(CORPUS);
    let broken = CORPUS.replace("const Mask = 0xff", "const Mask = = 0xff");
    let (trees, errors) = parse_file(&broken);
    assert_eq!(errors.len(), 1);
    assert_eq!(trees, whole.replace("(const Mask = 255)", "(error)"));
}
