//! `#[activity]`.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::ext::IdentExt;
use syn::parse::Parser;

use crate::function::{Function, Parameter, Role, input_pattern, input_type, marker};
use crate::options::ActivityAttributes;

const WHAT: &str = "an activity";

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let mut attributes = ActivityAttributes::default();
    syn::meta::parser(|meta| attributes.read(&meta)).parse2(options)?;
    let function: Function = syn::parse2(item)?;
    function.check(WHAT)?;
    let parameters = function.parameters(WHAT, "ActivityContext")?;
    let (name, vis) = (&function.signature.ident, &function.vis);
    let marker = marker(name, "Activity");
    let tagged = function.tagged(&marker, &parameters);
    let described = describe(&function, &marker, &attributes, &parameters);
    let body = function.body.is_some().then(|| body(name, &marker, &parameters));
    let wire = wire_name(name, &attributes);
    let doc = format!("The type of the activity [`{name}`], `{wire}` in the history.");
    Ok(quote! {
        #tagged
        #[doc = #doc]
        #[derive(Clone, Copy, Debug)]
        #vis struct #marker;
        #described
        #body
    })
}

fn wire_name(name: &Ident, attributes: &ActivityAttributes) -> String {
    attributes.name.clone().unwrap_or_else(|| name.unraw().to_string())
}

fn describe(
    function: &Function,
    marker: &Ident,
    attributes: &ActivityAttributes,
    parameters: &[Parameter],
) -> TokenStream {
    let name = wire_name(&function.signature.ident, attributes);
    let (input, output) = (input_type(parameters), function.output());
    let queue = attributes.task_queue.as_ref().map(|queue| quote!(const TASK_QUEUE: &'static str = #queue;));
    let most = attributes
        .max_concurrent
        .map(|most| quote!(const MAX_CONCURRENT: ::core::option::Option<usize> = ::core::option::Option::Some(#most);));
    let (settings, mentioned) = (&attributes.settings, &attributes.mentioned);
    let options = (!settings.is_empty()).then(|| {
        quote! {
            fn options() -> ::millrace::ActivityOptions {
                #(let _: ::core::marker::PhantomData<#mentioned>;)*
                let mut o = ::millrace::ActivityOptions::default();
                #(#settings)*
                o
            }
        }
    });
    quote! {
        impl ::millrace::Activity for #marker {
            type Input = #input;
            type Output = #output;
            const NAME: &'static str = #name;
            #queue
            #most
            #options
        }
    }
}

fn body(name: &Ident, marker: &Ident, parameters: &[Parameter]) -> TokenStream {
    let pattern = input_pattern(parameters);
    let shared = parameters.iter().filter(|p| p.role == Role::Shared).map(|p| &p.ty);
    let arguments = parameters.iter().map(|p| {
        let (name, ty) = (&p.name, &p.ty);
        match p.role {
            Role::Context => quote!(::core::clone::Clone::clone(&__context)),
            Role::Shared => quote!(<#ty as ::millrace::__private::Injected>::from_context(&__context)?),
            Role::Input => quote!(#name),
        }
    });
    quote! {
        impl ::millrace::ActivityBody for #marker {
            fn needs(needs: &mut ::millrace::__private::Needs) {
                #(needs.add::<#shared>();)*
            }
            fn call(
                __context: ::millrace::ActivityContext,
                #pattern: <Self as ::millrace::Activity>::Input,
            ) -> ::millrace::__private::Running<<Self as ::millrace::Activity>::Output> {
                ::std::boxed::Box::pin(async move {
                    let __returned = #name(#(#arguments),*).await;
                    ::millrace::__private::Returned::into_result(__returned).map_err(::core::convert::Into::into)
                })
            }
        }
    }
}
