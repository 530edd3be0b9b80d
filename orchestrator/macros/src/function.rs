//! A function as the attributes see it: with or without body, its parameters sorted into roles.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Attribute, Block, Error, FnArg, Pat, PatType, ReturnType, Signature, Token, Type, Visibility};

/// The most inputs that travel as one tuple.
const MOST_INPUTS: usize = 6;

/// An item `async fn`, perhaps without body.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) signature: Signature,
    pub(crate) body: Option<Block>,
}

/// What a parameter is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Context,
    Shared,
    Input,
}

/// One parameter.
pub(crate) struct Parameter {
    pub(crate) role: Role,
    /// Its name outside the author's function.
    pub(crate) name: Ident,
    pub(crate) ty: Type,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let (attrs, vis, signature) = (input.call(Attribute::parse_outer)?, input.parse()?, input.parse()?);
        let body = if input.peek(Token![;]) {
            input.parse::<Token![;]>()?;
            None
        } else {
            Some(input.parse()?)
        };
        Ok(Self { attrs, vis, signature, body })
    }
}

impl Function {
    /// Checks what activities and workflows have in common.
    pub(crate) fn check(&self, what: &str) -> syn::Result<()> {
        let signature = &self.signature;
        if signature.asyncness.is_none() {
            return Err(Error::new_spanned(signature.fn_token, format!("{what} is an `async fn`")));
        }
        if let Some(parameter) = signature.generics.params.first() {
            let message = format!("{what} is stored by its name, so it cannot be generic");
            return Err(Error::new_spanned(parameter, message));
        }
        if let ReturnType::Default = signature.output {
            return Err(Error::new_spanned(&signature.ident, format!("{what} returns a `Result`")));
        }
        Ok(())
    }

    /// The parameters; `context` is the name of the context's type.
    pub(crate) fn parameters(&self, what: &str, context: &str) -> syn::Result<Vec<Parameter>> {
        let parameters: Vec<_> = self
            .signature
            .inputs
            .iter()
            .enumerate()
            .map(|(i, argument)| parameter(i, argument, what, context))
            .collect::<syn::Result<_>>()?;
        if let Some(extra) = parameters.iter().filter(|p| p.role == Role::Input).nth(MOST_INPUTS) {
            let message = format!("{what} takes up to {MOST_INPUTS} inputs; put them into a struct");
            return Err(Error::new_spanned(&extra.ty, message));
        }
        Ok(parameters)
    }

    /// The type after `->`.
    pub(crate) fn returns(&self) -> TokenStream {
        match &self.signature.output {
            ReturnType::Default => quote!(()),
            ReturnType::Type(_, ty) => ty.to_token_stream(),
        }
    }

    /// The type of its result; a mistake is shown at the type after `->`.
    pub(crate) fn output(&self) -> TokenStream {
        let returns = self.returns();
        let span = Span::call_site().located_at(returns.span());
        quote_spanned!(span=> <#returns as ::millrace::__private::Returned>::Ok)
    }

    /// The public function: it tags the author's future with `marker`, and is the handle that calls name.
    pub(crate) fn tagged(&self, marker: &Ident, parameters: &[Parameter]) -> TokenStream {
        let Self { attrs, vis, signature, body } = self;
        let (name, inputs, returns) = (&signature.ident, &signature.inputs, self.returns());
        let (names, types): (Vec<_>, Vec<_>) = parameters.iter().map(|p| (&p.name, &p.ty)).unzip();
        let text = name.unraw().to_string();
        let body = match body {
            Some(body) => body.to_token_stream(),
            None => quote!({ ::millrace::__private::no_body(#text) }),
        };
        let unused = self.body.is_none().then(|| quote!(#[allow(unused_variables)]));
        quote! {
            #(#attrs)*
            #[allow(clippy::too_many_arguments)]
            #vis fn #name(#(#names: #types),*) -> ::millrace::__private::Tagged<
                #marker, impl ::core::future::Future<Output = #returns> + ::core::marker::Send + use<>,
            > {
                #unused
                #[allow(clippy::too_many_arguments)]
                async fn __body(#inputs) -> #returns #body
                ::millrace::__private::Tagged::new(__body(#(#names),*))
            }
        }
    }
}

fn parameter(i: usize, argument: &FnArg, what: &str, context: &str) -> syn::Result<Parameter> {
    let FnArg::Typed(PatType { pat, ty, .. }) = argument else {
        return Err(Error::new_spanned(argument, format!("{what} is a free function, without `self`")));
    };
    let role = role(ty, context);
    if let (Role::Input, Type::Reference(reference)) = (role, &**ty) {
        let message = format!(
            "the input of {what} is stored and sent, so it must be owned: `String` instead of `&str`, `Vec<T>` \
             instead of `&[T]`"
        );
        return Err(Error::new_spanned(reference.and_token, message));
    }
    let name = match &**pat {
        Pat::Ident(pat) => pat.ident.clone(),
        _ => Ident::new(&format!("input_{i}"), pat.span()),
    };
    Ok(Parameter { role, name, ty: (**ty).clone() })
}

fn role(ty: &Type, context: &str) -> Role {
    let Type::Path(path) = ty else { return Role::Input };
    match path.path.segments.last() {
        Some(segment) if segment.ident == context => Role::Context,
        Some(segment) if segment.ident == "Shared" => Role::Shared,
        _ => Role::Input,
    }
}

/// The input's type: `()`, the one type, or a tuple.
pub(crate) fn input_type(parameters: &[Parameter]) -> TokenStream {
    let types: Vec<_> = parameters.iter().filter(|p| p.role == Role::Input).map(|p| &p.ty).collect();
    match types.as_slice() {
        [one] => one.to_token_stream(),
        all => quote!((#(#all),*)),
    }
}

/// The pattern that takes the input apart.
pub(crate) fn input_pattern(parameters: &[Parameter]) -> TokenStream {
    let names: Vec<_> = parameters.iter().filter(|p| p.role == Role::Input).map(|p| &p.name).collect();
    match names.as_slice() {
        [one] => one.to_token_stream(),
        all => quote!((#(#all),*)),
    }
}

/// `train_test` and `Activity` make `TrainTestActivity`.
pub(crate) fn marker(name: &Ident, suffix: &str) -> Ident {
    let pascal = pascal(&name.unraw().to_string());
    format_ident!("{pascal}{suffix}", span = name.span())
}

/// `train_test_deploy` becomes `TrainTestDeploy`.
pub(crate) fn pascal(snake: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>())
    };
    snake.split('_').filter_map(word).collect()
}

/// An error about the whole attribute.
pub(crate) fn error(message: impl std::fmt::Display) -> Error {
    Error::new(Span::call_site(), message)
}
