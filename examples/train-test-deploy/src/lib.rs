//! The main example: a workflow that trains, tests and deploys a digit classifier ([`workflow`]), over parts that know
//! nothing of workflows: data, classifier, registry.
//!
//! ```
//! use train_test_deploy::classifier::{Model, fit_class};
//! use train_test_deploy::digits::{CLASSES, Digits};
//! use train_test_deploy::registry::Registry;
//!
//! # let folder = tempfile::tempdir()?;
//! let split = Digits::embedded()?.split();
//! let fitted = (0..CLASSES).map(|digit| fit_class(digit, &split.training)).collect::<Result<Vec<_>, _>>()?;
//! let model = Model::from_classes(fitted)?;
//! assert!(model.accuracy(&split.held_out) > 0.93);
//! let id = Registry::open(folder.path())?.deploy(&model.to_json()?)?;
//! println!("deployed {id}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
pub mod classifier;
pub mod digits;
pub mod registry;
pub mod workflow;
