//! `#[derive(Signal)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::{DeriveInput, Error, LitStr};

use crate::value;

pub(crate) fn expand(item: TokenStream) -> syn::Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    if let Some(parameter) = input.generics.params.first() {
        return Err(Error::new_spanned(parameter, "a signal is stored by its name, so it cannot be generic"));
    }
    let mut name = snake(&input.ident.unraw().to_string());
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("signal")) {
        attribute.parse_nested_meta(|meta| {
            if !meta.path.is_ident("name") {
                return Err(meta.error("unknown option; a signal takes: name"));
            }
            let text: LitStr = meta.value()?.parse()?;
            name = value::name(&text, value::LONGEST_NAME, value::NAME_EXTRA)?;
            Ok(())
        })?;
    }
    let ident = &input.ident;
    Ok(quote! {
        impl ::millrace::Signal for #ident {
            const NAME: &'static str = #name;
        }
    })
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
