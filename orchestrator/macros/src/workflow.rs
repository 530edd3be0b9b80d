//! `#[workflow]`.

use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::{Error, LitStr, Token, TypePath};

use crate::function::{Function, Parameter, Role, error, input_pattern, input_type, marker, pascal};
use crate::value;

const WHAT: &str = "a workflow";

#[derive(Default)]
struct WorkflowAttributes {
    name: Option<String>,
    version: Option<String>,
    accepts: Vec<TypePath>,
}

impl WorkflowAttributes {
    fn read(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        if meta.path.is_ident("name") {
            let name: LitStr = meta.value()?.parse()?;
            self.name = Some(value::name(&name, value::LONGEST_NAME, value::NAME_EXTRA)?);
        } else if meta.path.is_ident("version") {
            let version: LitStr = meta.value()?.parse()?;
            self.version = Some(value::name(&version, value::LONGEST_NAME, value::NAME_EXTRA)?);
        } else if meta.path.is_ident("accepts") {
            let list;
            syn::parenthesized!(list in meta.input);
            self.accepts.extend(list.parse_terminated(<TypePath as syn::parse::Parse>::parse, Token![,])?);
        } else {
            return Err(meta.error("unknown option; a workflow takes: name, version, accepts(..)"));
        }
        Ok(())
    }
}

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let mut attributes = WorkflowAttributes::default();
    syn::meta::parser(|meta| attributes.read(&meta)).parse2(options)?;
    let function: Function = syn::parse2(item)?;
    function.check(WHAT)?;
    let parameters = function.parameters(WHAT, "WorkflowContext")?;
    check(&function, &parameters)?;
    let (name, vis) = (&function.signature.ident, &function.vis);
    let marker = marker(name, "Workflow");
    let wire = attributes.name.clone().unwrap_or_else(|| pascal(&name.unraw().to_string()));
    let tagged = function.tagged(&marker, &parameters);
    let doc = format!("The type of the workflow [`{name}`], `{wire}` in the history.");
    let implementation = implementation(&function, &marker, (&wire, &attributes), &parameters);
    let accepts = &attributes.accepts;
    Ok(quote! {
        #tagged
        #[doc = #doc]
        #[derive(Clone, Copy, Debug)]
        #vis struct #marker;
        #implementation
        #(impl ::millrace::AcceptedBy<#marker> for #accepts {})*
    })
}

fn check(function: &Function, parameters: &[Parameter]) -> syn::Result<()> {
    if function.body.is_none() {
        return Err(Error::new_spanned(&function.signature.ident, "a workflow has a body"));
    }
    if let Some(shared) = parameters.iter().find(|p| p.role == Role::Shared) {
        let message = "a workflow has no access to the application's state, because that may differ between \
                       replays; reach it through an activity";
        return Err(Error::new_spanned(&shared.ty, message));
    }
    match parameters.iter().position(|p| p.role == Role::Context) {
        Some(0) => Ok(()),
        _ if parameters.is_empty() => Err(error("a workflow takes a `WorkflowContext` first")),
        _ => Err(Error::new_spanned(&parameters[0].ty, "a workflow takes a `WorkflowContext` first")),
    }
}

fn implementation(
    function: &Function,
    marker: &Ident,
    (wire, attributes): (&str, &WorkflowAttributes),
    parameters: &[Parameter],
) -> TokenStream {
    let (name, output) = (&function.signature.ident, function.output());
    let accepts = &attributes.accepts;
    let version = attributes.version.iter();
    let (input, pattern) = (input_type(parameters), input_pattern(parameters));
    let arguments = parameters.iter().map(|p| match (p.role, &p.name) {
        (Role::Context, _) => quote!(__context),
        (_, name) => quote!(#name),
    });
    quote! {
        impl ::millrace::Workflow for #marker {
            type Input = #input;
            type Output = #output;
            const NAME: &'static str = #wire;
            #(const VERSION: Option<&'static str> = Some(#version);)*
            const ACCEPTS: &'static [&'static str] = &[#(<#accepts as ::millrace::Message>::NAME),*];
            fn run(
                __context: ::millrace::WorkflowContext,
                #pattern: Self::Input,
            ) -> ::millrace::__private::Run<Self::Output> {
                ::std::boxed::Box::pin(async move {
                    let __returned = #name(#(#arguments),*).await;
                    ::millrace::__private::Returned::into_result(__returned).map_err(::core::convert::Into::into)
                })
            }
        }
    }
}
