//! `#[derive(Signal)]`, `#[derive(Update)]`, `#[derive(Query)]`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::ext::IdentExt;
use syn::{DeriveInput, Error, LitStr, Type};

use crate::value;

/// A kind of message.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Signal,
    Update,
    Query,
}

impl Kind {
    /// The name of its attribute; the trait's is the same, with a capital.
    fn attribute(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Update => "update",
            Self::Query => "query",
        }
    }

    fn has_answer(self) -> bool {
        self != Self::Signal
    }

    fn options(self) -> &'static str {
        if self.has_answer() { "name, output" } else { "name" }
    }
}

pub(crate) fn expand(kind: Kind, item: TokenStream) -> syn::Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    let word = kind.attribute();
    if let Some(parameter) = input.generics.params.first() {
        let message = format!("a message of kind `{word}` is known by its name, so it cannot be generic");
        return Err(Error::new_spanned(parameter, message));
    }
    let mut name = snake(&input.ident.unraw().to_string());
    let mut output: Option<Type> = None;
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident(word)) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("name") {
                let text: LitStr = meta.value()?.parse()?;
                name = value::name(&text, value::LONGEST_NAME, value::NAME_EXTRA)?;
            } else if meta.path.is_ident("output") && kind.has_answer() {
                output = Some(meta.value()?.parse()?);
            } else {
                return Err(meta.error(format!("unknown option; `{word}` takes: {}", kind.options())));
            }
            Ok(())
        })?;
    }
    let ident = &input.ident;
    let kind_trait = Ident::new(&pascal(word), Span::call_site());
    let answer = match (kind.has_answer(), output) {
        (false, _) => None,
        (true, Some(output)) => Some(quote!(type Output = #output;)),
        (true, None) => {
            let message =
                format!("say what the answer is: `#[{word}(output = Type)]`; `()` if there is none");
            return Err(Error::new_spanned(ident, message));
        }
    };
    Ok(quote! {
        impl ::millrace::Message for #ident {
            const NAME: &'static str = #name;
        }
        impl ::millrace::#kind_trait for #ident {
            #answer
        }
    })
}

fn pascal(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}

/// `CheckOut` becomes `check_out`, `HTTPReady` becomes `http_ready`.
fn snake(pascal: &str) -> String {
    let letters: Vec<char> = pascal.chars().collect();
    let mut snake = String::new();
    for (i, letter) in letters.iter().enumerate() {
        let after_small = i > 0 && !letters[i - 1].is_uppercase();
        let before_small = i > 0 && letters.get(i + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && (after_small || before_small) && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::snake;

    #[test]
    fn words_are_parted() {
        let names = ["Approve", "CheckOut", "HTTPReady", "X", "A1B"].map(snake);
        assert_eq!(names, ["approve", "check_out", "http_ready", "x", "a1_b"]);
    }
}
