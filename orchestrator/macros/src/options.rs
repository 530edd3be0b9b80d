//! The options of `#[activity(..)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::parse::{Parse, ParseStream};
use syn::{Lit, LitFloat, LitInt, LitStr, Token, TypePath};

use crate::value;

const KNOWN: &str = "unknown option; an activity takes: name, task_queue, start_to_close, schedule_to_close, \
                     schedule_to_start, heartbeat, max_attempts, initial_interval, maximum_interval, \
                     backoff_coefficient, non_retryable(..), exclusive, completes_later, max_concurrent";

/// What the attribute says.
#[derive(Default)]
pub(crate) struct ActivityAttributes {
    pub(crate) name: Option<String>,
    pub(crate) task_queue: Option<String>,
    pub(crate) max_concurrent: Option<usize>,
    /// Statements that change `o`, the activity's options.
    pub(crate) settings: Vec<TokenStream>,
    /// Types that must exist.
    pub(crate) mentioned: Vec<TypePath>,
}

enum FinalType {
    Name(LitStr),
    Type(TypePath),
}

impl Parse for FinalType {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(LitStr) { input.parse().map(Self::Name) } else { input.parse().map(Self::Type) }
    }
}

impl ActivityAttributes {
    /// Reads one option.
    pub(crate) fn read(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let option = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
        match option.as_str() {
            "name" => self.name = Some(value::name(&text(meta)?, value::LONGEST_NAME, value::NAME_EXTRA)?),
            "task_queue" => self.task_queue = Some(value::name(&text(meta)?, 40, "-_")?),
            "max_concurrent" => self.max_concurrent = Some(at_least_one(&meta.value()?.parse()?)?),
            "start_to_close" => self.duration(meta, |d| quote!(o.start_to_close = #d;))?,
            "schedule_to_close" => self.duration(meta, |d| quote!(o.schedule_to_close = Some(#d);))?,
            "schedule_to_start" => self.duration(meta, |d| quote!(o.schedule_to_start = Some(#d);))?,
            "heartbeat" => self.duration(meta, |d| quote!(o.heartbeat = Some(#d);))?,
            "initial_interval" => self.initial_interval(meta)?,
            "maximum_interval" => self.duration(meta, |d| quote!(o.retry.maximum_interval = #d;))?,
            "max_attempts" => {
                let attempts = meta.value()?.parse::<LitInt>()?.base10_parse::<u32>()?;
                self.settings.push(quote!(o.retry.maximum_attempts = #attempts;));
            }
            "backoff_coefficient" => self.coefficient(meta)?,
            "non_retryable" => self.final_types(meta)?,
            "exclusive" => self.settings.push(quote!(o.exclusive = true;)),
            "completes_later" => self.settings.push(quote!(o.completes_later = true;)),
            _ => return Err(meta.error(KNOWN)),
        }
        Ok(())
    }

    /// `non_retryable(BelowThreshold, "CardDeclined")`: failures are compared by the short name of their type.
    fn final_types(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let list;
        syn::parenthesized!(list in meta.input);
        for entry in list.parse_terminated(FinalType::parse, Token![,])? {
            let name = match entry {
                FinalType::Name(name) => name.value(),
                FinalType::Type(path) => {
                    let name = path.path.segments.last().map(|segment| segment.ident.to_string());
                    self.mentioned.push(path);
                    name.unwrap_or_default()
                }
            };
            self.settings.push(quote!(o.retry.non_retryable_error_types.push(#name.into());));
        }
        Ok(())
    }

    fn duration(
        &mut self,
        meta: &ParseNestedMeta<'_>,
        set: impl Fn(TokenStream) -> TokenStream,
    ) -> syn::Result<()> {
        let ms = value::duration_ms(&text(meta)?)?;
        self.settings.push(set(quote!(::core::time::Duration::from_millis(#ms))));
        Ok(())
    }

    /// A first wait above the default longest one raises that, unless the longest is given too.
    fn initial_interval(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        self.duration(meta, |d| {
            quote! {
                o.retry.initial_interval = #d;
                o.retry.maximum_interval = o.retry.maximum_interval.max(#d);
            }
        })?;
        self.settings.rotate_right(1);
        Ok(())
    }

    fn coefficient(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        let number: Lit = meta.value()?.parse()?;
        let value = match &number {
            Lit::Float(float) => LitFloat::base10_parse::<f64>(float)?,
            Lit::Int(int) => LitInt::base10_parse::<f64>(int)?,
            other => return Err(syn::Error::new_spanned(other, "expected a number, at least 1")),
        };
        if value < 1.0 {
            return Err(syn::Error::new_spanned(number, "expected a number, at least 1"));
        }
        self.settings.push(quote!(o.retry.backoff_coefficient = #value;));
        Ok(())
    }
}

fn at_least_one(number: &LitInt) -> syn::Result<usize> {
    match number.base10_parse()? {
        0 => Err(syn::Error::new_spanned(number, "expected a number, at least 1")),
        n => Ok(n),
    }
}

fn text(meta: &ParseNestedMeta<'_>) -> syn::Result<LitStr> {
    meta.value()?.parse()
}
