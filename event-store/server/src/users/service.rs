use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tonic::{Code, Request, Response, Status};

use super::{Found, User, Users, UsersError};
use crate::access::Caller;
use crate::errors;
use crate::protocol::users::details_resp::UserDetails;
use crate::protocol::users::details_resp::user_details::DateTime;
use crate::protocol::users::users_server::{self, UsersServer};
use crate::protocol::users::{
    ChangePasswordReq, ChangePasswordResp, CreateReq, CreateResp, DeleteReq, DeleteResp,
    DetailsReq, DetailsResp, DisableReq, DisableResp, EnableReq, EnableResp, ResetPasswordReq,
    ResetPasswordResp, UpdateReq, UpdateResp,
};

/// The service `Users`. Admins may do everything; users may look at themselves and change their own
/// passwords.
#[derive(Debug, Clone)]
pub(crate) struct UsersService(Users);

impl UsersService {
    pub(crate) fn server(users: Users) -> UsersServer<Self> {
        UsersServer::new(Self(users))
    }
}

#[tonic::async_trait]
impl users_server::Users for UsersService {
    async fn create(&self, request: Request<CreateReq>) -> Result<Response<CreateResp>, Status> {
        let options = asked(request, |request| request.options, Caller::admin)?;
        let groups = options.groups;
        let created =
            self.0.create(&options.login_name, &options.password, &options.full_name, groups);
        created.await.map_err(|error| refused(&error))?;
        Ok(Response::new(CreateResp {}))
    }

    /// Leaves the password as it is, as EventStoreDB does.
    async fn update(&self, request: Request<UpdateReq>) -> Result<Response<UpdateResp>, Status> {
        let options = asked(request, |request| request.options, Caller::admin)?;
        let updated = self.0.update(&options.login_name, |user| {
            user.full_name = options.full_name;
            user.groups = options.groups;
        });
        updated.await.map_err(|error| refused(&error))?;
        Ok(Response::new(UpdateResp {}))
    }

    async fn delete(&self, request: Request<DeleteReq>) -> Result<Response<DeleteResp>, Status> {
        let options = asked(request, |request| request.options, Caller::admin)?;
        self.0.delete(&options.login_name).await.map_err(|error| refused(&error))?;
        Ok(Response::new(DeleteResp {}))
    }

    async fn disable(&self, request: Request<DisableReq>) -> Result<Response<DisableResp>, Status> {
        let options = asked(request, |request| request.options, Caller::admin)?;
        let disabled = self.0.update(&options.login_name, |user| user.disabled = true);
        disabled.await.map_err(|error| refused(&error))?;
        Ok(Response::new(DisableResp {}))
    }

    async fn enable(&self, request: Request<EnableReq>) -> Result<Response<EnableResp>, Status> {
        let options = asked(request, |request| request.options, Caller::admin)?;
        let enabled = self.0.update(&options.login_name, |user| user.disabled = false);
        enabled.await.map_err(|error| refused(&error))?;
        Ok(Response::new(EnableResp {}))
    }

    type DetailsStream = BoxStream<'static, Result<DetailsResp, Status>>;

    /// Of one user; of all, where none is named.
    async fn details(
        &self,
        request: Request<DetailsReq>,
    ) -> Result<Response<Self::DetailsStream>, Status> {
        let caller = Caller::of(request.extensions());
        let login = request.into_inner().options.unwrap_or_default().login_name;
        let found = if login.is_empty() {
            caller.admin()?;
            self.0.all().await
        } else {
            caller.admin_or(&login)?;
            self.0.get(&login).await.map(|found| vec![found])
        };
        let found = found.map_err(|error| refused(&error))?;
        Ok(Response::new(stream::iter(found.into_iter().map(|found| Ok(details(found)))).boxed()))
    }

    async fn change_password(
        &self,
        request: Request<ChangePasswordReq>,
    ) -> Result<Response<ChangePasswordResp>, Status> {
        let caller = Caller::of(request.extensions());
        let options = request.into_inner().options.ok_or_else(|| errors::required("options"))?;
        let login = &options.login_name;
        caller.admin_or(login)?;
        let change = async {
            self.0.get(login).await?;
            self.0.verify(login, &options.current_password).await?;
            self.0.set_password(login, &options.new_password).await
        };
        change.await.map_err(|error| refused(&error))?;
        Ok(Response::new(ChangePasswordResp {}))
    }

    async fn reset_password(
        &self,
        request: Request<ResetPasswordReq>,
    ) -> Result<Response<ResetPasswordResp>, Status> {
        let options = asked(request, |request| request.options, Caller::admin)?;
        let reset = self.0.set_password(&options.login_name, &options.new_password);
        reset.await.map_err(|error| refused(&error))?;
        Ok(Response::new(ResetPasswordResp {}))
    }
}

/// What is asked by somebody who may.
fn asked<R, O>(
    request: Request<R>,
    options: impl FnOnce(R) -> Option<O>,
    allowed: impl FnOnce(&Caller) -> Result<(), Status>,
) -> Result<O, Status> {
    allowed(&Caller::of(request.extensions()))?;
    options(request.into_inner()).ok_or_else(|| errors::required("options"))
}

fn details(found: Found) -> DetailsResp {
    let Found { user, recorded_at, .. } = found;
    let User { login_name, full_name, groups, disabled, .. } = user;
    let last_updated = Some(DateTime { ticks_since_epoch: recorded_at * 10 });
    let user_details = UserDetails { login_name, full_name, groups, last_updated, disabled };
    DetailsResp { user_details: Some(user_details) }
}

fn refused(error: &UsersError) -> Status {
    let message = error.to_string();
    match error {
        UsersError::NotFound(login) => {
            errors::exception(Code::NotFound, message, "user-not-found", &[("login-name", login)])
        }
        UsersError::Exists(login) | UsersError::Conflict(login) => {
            let with = [("login-name", login.as_str())];
            errors::exception(Code::FailedPrecondition, message, "user-conflict", &with)
        }
        UsersError::Denied(_) => errors::access_denied(&message),
        UsersError::Invalid(_) => Status::invalid_argument(message),
        UsersError::Damaged(_) => Status::data_loss(message),
        UsersError::Unavailable(_) => Status::unavailable(message),
    }
}
